"""The ``millpond`` commands that Presto brings: ``presto-catalog`` and ``presto-install``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from millpond.cli.link import CacheDir  # noqa: TC001 (Typer reads the annotations)
from millpond.cli.output import Json, Mode, note, print_json, print_table
from millpond.errors import InvalidSetting


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("presto-catalog")(presto_catalog)
    app.command("presto-install")(presto_install)


def presto_catalog(
    metastore: Annotated[
        str | None, typer.Option(help="The Hive metastore, thrift://host:port.")
    ] = None,
    connector: Annotated[
        Literal["hive-hadoop2", "iceberg"], typer.Option(help="Presto's connector.")
    ] = "hive-hadoop2",
    trino: Annotated[bool, typer.Option("--trino", help="Write it for Trino.")] = False,
    warehouse: Annotated[
        str | None,
        typer.Option(help="A warehouse of Iceberg tables that needs no metastore: its URI."),
    ] = None,
    etc: Annotated[
        Path | None,
        typer.Option(help="Write into this etc folder of Presto's. Default: print.", metavar="DIR"),
    ] = None,
    name: Annotated[str, typer.Option(help="The catalog's name.")] = "hive",
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ.")] = False,
    mount: Annotated[
        list[str] | None,
        typer.Option(help="A mount whose store may be read directly; repeatable. Default: all."),
    ] = None,
    fallback: Annotated[
        bool, typer.Option(help="Set up direct reads of the stores, for when the cache can't help.")
    ] = True,
    transparent: Annotated[
        bool, typer.Option("--transparent", help="Read s3a:// and s3:// through the cache as well.")
    ] = False,
    resource: Annotated[
        list[Path] | None,
        typer.Option(
            help="A further file of Hadoop's settings, such as one with keys; repeatable."
        ),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--set", help="A further property, key=value; repeatable.")
    ] = None,
    hadoop: Annotated[
        list[str] | None,
        typer.Option(help="A further setting of Hadoop's, key=value; repeatable."),
    ] = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Print or write a Presto catalog that reads cache://. It holds no key of any store."""
    from millpond.engine import settings_from
    from millpond_presto import catalogs

    if not name or not all(c.isalnum() or c in "_-" for c in name):
        raise InvalidSetting(f"name is {name!r}", cause="allowed: letters, digits, _ and -")
    folder = (etc or Path("etc")).absolute()
    files = catalogs.Files.of(folder, name)
    made = catalogs.catalog(
        files.resources, metastore, cache_dir, mount or None, fallback,
        connector=connector, trino=trino, warehouse=warehouse, transparent=transparent,
        more_resources=resource or [], extra=settings_from(extra or []),
        hadoop=settings_from(hadoop or [], "--hadoop"),
    )  # fmt: skip
    if etc is not None:
        files.write(made, force=force)
    if Mode.json:
        print_json(
            {
                "properties": {"file": str(files.properties), "values": dict(made.properties)},
                "resources": {"file": str(files.resources), "values": dict(made.resources)},
                "written": etc is not None,
                "notes": list(made.notes),
            }
        )
    elif etc is not None:
        print_table(["WRITTEN"], [[str(files.properties)], [str(files.resources)]])
    else:
        typer.echo(f"# {files.properties}\n{made.properties_text()}")
        typer.echo(f"<!-- {files.resources} -->\n{made.resources_text()}", nl=False)
    for line in made.notes:
        note(f"note: {line}")


def presto_install(
    home: Annotated[Path, typer.Argument(help="Presto's home: the folder with lib and plugin.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the jars away instead, of every release.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put the client jar into Presto's plug-ins, and take older ones out. Trino's too."""
    from millpond_presto import jar

    changes = jar.remove(home) if remove else jar.install(home)
    if Mode.json:
        print_json(
            [{"folder": str(c.folder), "done": c.done, "removed": list(c.removed)} for c in changes]
        )
    else:
        print_table(
            ["FOLDER", "DONE", "REMOVED"],
            [[str(c.folder), c.done, " ".join(c.removed)] for c in changes],
        )
    if any(c.done != "kept" for c in changes):
        note("note: Presto takes this at its next start, on this node; the other nodes need it too")
