"""All venues of the process in front of one market, which is played once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from workers.engine.execution.matching_hidden import Draw
from workers.engine.instruments import Instrument
from workers.live.paper_venue.channel import Channel
from workers.live.paper_venue.config import VenueConfig
from workers.live.paper_venue.shade import Shader
from workers.live.paper_venue.sources.listing import VENUE as HOME
from workers.live.paper_venue.venue import Venue
from workers.live.paper_venue.wire import Frame, Played

PREFIX = "/venues/"


class Stage:
    """The home venue and the others by name; what the market does reaches each through a channel of its own."""

    def __init__(self, config: VenueConfig, source: Played, clock: Callable[[], int]) -> None:
        def venue(name: str, config: VenueConfig, listed: tuple[Instrument, ...], draw: Draw | None = None) -> Venue:
            return Venue(
                config,
                name=name,
                kind=source.kind,
                label=source.label,
                bar_interval=source.bar_interval,
                instruments=listed,
                draw=draw,
                clock=clock,
            )

        self.config = config
        self.clock = clock
        self.home = venue(HOME, config, source.instruments)
        self.others: dict[str, Venue] = {}
        self._channels = [Channel(self.home, self.home.desk.grids)]
        for profile in config.venues:
            own = config.of(profile)
            other = venue(profile.name, own, profile.instruments(source.instruments), profile.draw(own.seed))
            self.others[profile.name] = other
            shading = None if profile.dark else Shader(source.instruments, profile)
            self._channels.append(Channel(other, self.home.desk.grids, shading))

    def __iter__(self) -> Iterator[Venue]:
        yield self.home
        yield from self.others.values()

    def at(self, path: str) -> Venue | None:
        """The venue that a request's path is meant for; None when there is none of the name."""
        if not path.startswith(PREFIX):
            return self.home
        return self.others.get(path[len(PREFIX) :].partition("/")[0])

    # --- what the market does

    def begin(self, opened_ms: int, closes_ms: int, number: int) -> None:
        """Start a session at each venue, still closed to orders; ``number`` is the market's pass."""
        for venue in self:
            venue.market.number = number
            venue.market.begin(venue.next_session(), opened_ms, closes_ms)

    def show(self, frame: Frame, moment: int, at_ms: int) -> None:
        """See ``Channel.show``."""
        for channel in self._channels:
            channel.show(frame, moment, at_ms)

    def start_trading(self, now: int, closes_ms: int) -> None:
        """Open every venue until ``closes_ms``."""
        for venue in self:
            venue.market.closes_ms = closes_ms
            venue.market.start_trading(now)

    def apply(self, frame: Frame, moment: int, now: int) -> None:
        """See ``Channel.apply``."""
        for channel in self._channels:
            channel.apply(frame, moment, now)

    def move_close(self, closes_ms: int, now: int) -> None:
        """See ``Market.move_close``."""
        for venue in self:
            venue.market.move_close(closes_ms, now)

    def stop_trading(self, now: int) -> None:
        """Session break everywhere."""
        for channel in self._channels:
            channel.flush(now)
            channel.venue.market.stop_trading(now)

    async def close(self) -> None:
        """Write what is queued and close every log."""
        for venue in self:
            await venue.journal.close()
