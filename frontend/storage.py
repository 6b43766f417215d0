"""Static files under names that carry their content's hash, the imports between scripts included."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no type information
    """A browser never mixes the scripts of two releases, and keeps each for good."""

    support_js_module_import_aggregation = True
