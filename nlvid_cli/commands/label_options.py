"""Options of ``nlvid label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Videos = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VIDEO...",
        help='Folders, files, quoted globs, @list.txt, - for a list on stdin, tables with a column "path", '
        "s3://, gs://, hf://, http(s)://.",
        show_default=False,
    ),
]
Rows = Annotated[Path | None, typer.Option("--output", "-o", help="File of rows; what is in it is not done again.")]
TableFormat = Annotated[
    Literal["jsonl", "csv", "parquet"] | None,
    typer.Option("--format", "-f", help="Also make this of the rows. Default: as --output is called."),
]
Views = Annotated[
    Literal["all", "auto"], typer.Option("--views", help="auto: no more clips when the answer is settled.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try videos again that failed.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Forget what is in the output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and how long.")]
ShardName = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Only part I of N; each writes a file of its own.")
]
Merge = Annotated[bool, typer.Option("--merge", help="Make one file of those of shards, or of the files named.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, max=4096, help="Processes that decode. Default: one per processor.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=1e6, help="Seconds for decoding one video.")]
WorkerMemory = Annotated[
    float, typer.Option("--worker-memory", min=0.1, max=1e5, help="GiB for each process that decodes.")
]
Memory = Annotated[float, typer.Option("--memory", min=0.01, max=1e5, help="GiB of decoded frames that may wait.")]
Gpus = Annotated[int | None, typer.Option("--gpus", min=1, help="Use so many GPUs.")]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="This machine, or a Ray cluster (extra ray).")
]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", help="Of the cluster. Default: one of this machine's own.")
]
