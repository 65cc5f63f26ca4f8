"""What `etl.yml` says of the service, under ``serve:``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from etl.options import DurationS, Options


class ServeOptions(Options):
    """How ``etl serve`` runs the pipelines of a project, and where it listens."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    workers: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=4, description="how many pipelines run at the same time; continuous ones have a thread each beside them"
    )
    retries: Annotated[int, Field(ge=0)] = Field(
        default=8, description="how often a pipeline that fails is tried again in a row, until it is paused"
    )
    grace: DurationS = Field(default=20.0, description="how long batches under way may take when the service is ended")
