"""Reads a lake with programs of others and prints what they found as JSON.

The table's log is read by plain Python (the protocol's JSON entries and Parquet checkpoints) and by delta-rs; the files
by Arrow's C++ reader and by DuckDB.
"""

import datetime
import json
import pathlib
import sys
import urllib.parse

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

COLUMNS = ["seq", "vehicle_id", "event_time", "severity", "context", "clock_offset_us", "first_before_us", "last_after_us"]


def live(root):
    """Replays the log: path and partition values of each file of the newest version."""
    log, files, since = root / "_delta_log", {}, -1
    pointer = log / "_last_checkpoint"
    if pointer.exists():
        since = json.loads(pointer.read_text())["version"]
        for row in pq.read_table(log / f"{since:020}.checkpoint.parquet", columns=["add"]).to_pylist():
            if row["add"]:
                files[row["add"]["path"]] = dict(row["add"]["partitionValues"])
    for entry in sorted(log.glob("*.json")):
        if not entry.stem.isdigit() or int(entry.stem) <= since:
            continue
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                files[action["add"]["path"]] = action["add"]["partitionValues"]
            if "remove" in action:
                files.pop(action["remove"]["path"], None)
    return {urllib.parse.unquote(path): values for path, values in files.items()}


def text(time):
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def at(micros):
    return datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(microseconds=micros)


def by_arrow(root, files):
    tables = []
    for path, values in files.items():
        table = pq.ParquetFile(root / path).read()
        for name in COLUMNS:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.binary()))
        bucket = values["bucket"] or None
        table = table.select(COLUMNS).append_column(
            "bucket", pa.array([bucket and int(bucket)] * table.num_rows, pa.int32())
        )
        tables.append(table)
    return pa.concat_tables(tables, promote_options="permissive")


def figures(table):
    ends = pc.min_max(table["event_time"]).as_py()
    vehicle = pc.subtract(table["event_time"].cast(pa.int64()), table["clock_offset_us"])
    return [
        table.num_rows,
        pc.sum(table["seq"]).as_py(),
        pc.count_distinct(table["vehicle_id"]).as_py(),
        text(ends["min"]),
        text(ends["max"]),
        pc.sum(table["severity"]).as_py(),
        pc.count(table["bucket"]).as_py(),
        pc.count(table["context"]).as_py(),
        pc.sum(vehicle).as_py(),
        pc.sum(pc.subtract(vehicle, table["first_before_us"])).as_py(),
        pc.sum(pc.add(vehicle, table["last_after_us"])).as_py(),
    ]


def main():
    root = pathlib.Path(sys.argv[1])
    files = live(root)
    table = by_arrow(root, files)
    delta = DeltaTable(str(root))
    assert sorted(urllib.parse.unquote(path) for path in delta.file_uris()) == sorted(
        str(root / path) for path in files
    ), "both readers of the log name the same files"
    session = duckdb.connect()
    session.execute("SET TimeZone = 'UTC'")
    paths = [str(root / path) for path in files]
    duck = session.execute(
        "SELECT count(*), sum(seq)::BIGINT, count(DISTINCT vehicle_id),"
        " epoch_us(min(event_time)), epoch_us(max(event_time)),"
        " sum(severity)::BIGINT, count(bucket), count(context),"
        " sum(epoch_us(event_time) - clock_offset_us)::BIGINT,"
        " sum(epoch_us(event_time) - clock_offset_us - first_before_us)::BIGINT,"
        " sum(epoch_us(event_time) - clock_offset_us + last_after_us)::BIGINT"
        " FROM read_parquet(?, union_by_name = true, hive_partitioning = true)",
        [paths],
    ).fetchone()
    vehicles = session.execute(
        "SELECT vehicle_id, count(*) FROM read_parquet(?, union_by_name = true) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
        [paths],
    ).fetchall()
    found = {
        "arrow": figures(table),
        "duckdb": [*duck[:3], text(at(duck[3])), text(at(duck[4])), *duck[5:]],
        "delta": figures(pa.table(delta.to_pyarrow_dataset().to_table(columns=[*COLUMNS, "bucket"]))),
        "vehicles": [list(row) for row in vehicles],
    }
    print(json.dumps(found))


main()
