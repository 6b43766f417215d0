from workers.live.paper_venue.server import run

run()
