"""Two replicas of the service on a private PostgreSQL and NATS, for attacks from outside.

Uses the standard library only. Everything listens on loopback, stores its data in a temporary directory and stops at
the end of the `with` block:

    with Cluster(binary, accounts=2) as cluster:
        first, second = cluster.replicas
        status, headers, body = first.call(cluster.accounts[0], "GET", "/contacts")
"""

import argparse
import contextlib
import glob
import http.client
import json
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.parse

BASE = "/secure-api"
MASTER_KEY = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="


class Account:
    """An account and its first secret key."""

    def __init__(self, public_id, secret_key):
        self.public_id = public_id
        self.secret_key = secret_key

    def headers(self):
        return {"X-Public-ID": self.public_id, "X-Secret-Key": self.secret_key}


class Replica:
    """A running `unificus serve`."""

    def __init__(self, process, api, metrics, log):
        self.process = process
        self.api = api
        self.metrics_address = metrics
        self.log = log

    @property
    def pid(self):
        return self.process.pid

    def connect(self, timeout=30):
        """Opens a socket to the API, and sends nothing."""
        return socket.create_connection(self.api, timeout=timeout)

    def call(self, account, method, path, body=None, headers=None, timeout=60, connection=None):
        """Sends one request; returns (status, headers, body). `account` may be None."""
        client = connection or http.client.HTTPConnection(*self.api, timeout=timeout)
        try:
            sent = dict(account.headers() if account else {}, **(headers or {}))
            data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
            client.request(method, BASE + path, data, sent)
            response = client.getresponse()
            return response.status, response.headers, response.read()
        finally:
            if connection is None:
                client.close()

    def get_metrics(self, path="/metrics"):
        """Returns status and text of /metrics, or of another page of the operator's listener."""
        client = http.client.HTTPConnection(*self.metrics_address, timeout=30)
        with contextlib.closing(client):
            client.request("GET", path)
            response = client.getresponse()
            return response.status, response.read().decode()

    def metric(self, series):
        """The value of one series, such as `unificus_http_connections`; None where it is not shown."""
        for line in self.get_metrics()[1].splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def rss_mb(self):
        """Resident memory in MB."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log_text(self):
        return pathlib.Path(self.log).read_text()


class Cluster:
    """PostgreSQL, NATS and replicas. `settings` are environment variables of the service."""

    def __init__(self, binary, accounts=1, replicas=2, settings=None, tier="pinnacle"):
        self.binary = str(binary)
        self.settings = settings or {}
        self.setup = (accounts, replicas, tier)
        self.replicas = []
        self.accounts = []
        self.servers = []

    def __enter__(self):
        try:
            self.directory = pathlib.Path(tempfile.mkdtemp(prefix="unificus-attack-"))
            self.directory.chmod(0o711)
            self._start_postgres()
            self._start_nats()
            accounts, replicas, tier = self.setup
            self.command("migrate")
            created = self.command("account", "create", "attack", "--tier", tier, "--count", str(accounts), "--json")
            self.accounts = [read_account(json.loads(line)) for line in created.splitlines()]
            for _ in range(replicas):
                self.start_replica()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for replica in self.replicas:
            if replica.process.poll() is None:
                replica.resume()
                replica.kill()
        for server, stop in reversed(self.servers):
            server.send_signal(stop)
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        panicked = [replica.log_text() for replica in self.replicas if "panicked at" in replica.log_text()]
        shutil.rmtree(self.directory, ignore_errors=True)
        if panicked:
            raise RuntimeError(f"a replica panicked:\n{panicked[0]}")

    def environment(self, **more):
        return {
            **os.environ,
            "UNIFICUS_DATABASE__URL": self.database,
            "UNIFICUS_NATS__URL": self.nats,
            "UNIFICUS_HTTP__LISTEN": "127.0.0.1:0",
            "UNIFICUS_METRICS__LISTEN": "127.0.0.1:0",
            "UNIFICUS_QUOTA__ENFORCED": "false",
            "UNIFICUS_SECRETS__MASTER_KEYS": json.dumps([MASTER_KEY]),
            "UNIFICUS_PUSH__ALLOW_HTTP": "true",
            "UNIFICUS_PUSH__ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "UNIFICUS_LOG__FORMAT": "json",
            **self.settings,
            **more,
        }

    def start_replica(self, prefix=(), **settings):
        """Starts `unificus serve` and waits until it serves. `prefix` is a command to run it under."""
        log = self.directory / f"replica-{len(self.replicas)}.log"
        with log.open("w") as output:
            command = [*prefix, self.binary, "serve"]
            process = subprocess.Popen(
                command, env=self.environment(**settings), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        entry = wait_for(lambda: find_serving(log, process), 60, "the replica does not serve")
        replica = Replica(process, address(entry["address"]), address(entry["metrics_address"]), log)
        self.replicas.append(replica)
        return replica

    def command(self, *arguments):
        """Runs a command of the service's binary and returns its output."""
        ran = subprocess.run(
            [self.binary, *arguments], env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if ran.returncode != 0:
            raise RuntimeError(f"unificus {' '.join(arguments)} failed: {ran.stderr}")
        return ran.stdout

    def sql(self, statement):
        """Runs SQL as the service's role; returns psql's unaligned output."""
        ran = subprocess.run(
            [self.bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", self.database, "-c", statement],
            capture_output=True, text=True, check=True,
        )
        return ran.stdout.strip()

    def _start_postgres(self):
        self.bin = postgres_programs()
        data, port = self.directory / "postgres", free_port()
        user = "postgres" if os.getuid() == 0 else None
        owner = pwd.getpwnam(user) if user else None
        password = secrets.token_hex(16)
        data.mkdir(mode=0o700)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        for path in (data, password_file):
            if owner:
                os.chown(path, owner.pw_uid, owner.pw_gid)
        initdb = [self.bin / "initdb", "-D", data, "-U", "postgres", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        initdb += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        as_user = {"user": user, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_user)
        options = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": port, "max_connections": 300,
            "shared_buffers": "512MB", "max_wal_size": "4GB", "wal_init_zero": "off",
        }
        command = [self.bin / "postgres", "-D", data]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._serve("postgres", command, signal.SIGINT, **as_user)
        server = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        self.superuser = server
        psql = [self.bin / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", server]
        ready = lambda: subprocess.run([*psql, "-c", "select"], capture_output=True).returncode == 0
        wait_for(ready, 60, "PostgreSQL accepts no connections")
        role = f"create role unificus login password '{password}'"
        subprocess.run([*psql, "-c", role, "-c", "create database unificus owner unificus"], check=True)
        self.database = f"postgresql://unificus:{password}@127.0.0.1:{port}/unificus"

    def _start_nats(self):
        port, config = free_port(), self.directory / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{port}"\nmax_payload: 8MB\njetstream {{ store_dir: "{self.directory / "nats"}" }}\n'
        )
        tools = pathlib.Path(os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share")) / "unificus/bin"
        program = shutil.which("nats-server", path=f"{tools}:{os.environ['PATH']}")
        self._serve("nats", [program, "-c", config], signal.SIGTERM)
        wait_for(lambda: accepts(port), 60, "NATS accepts no connections")
        self.nats = f"nats://127.0.0.1:{port}"

    def _serve(self, name, command, stop, **as_user):
        with (self.directory / f"{name}.log").open("w") as output:
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True, **as_user
            )
        self.servers.append((server, stop))


def read_account(created):
    return Account(created["public_id"], created["secret_key"])


def find_serving(log, process):
    if process.poll() is not None:
        raise RuntimeError(f"the replica ended: {log.read_text()}")
    for line in log.read_text().splitlines():
        fields = json.loads(line).get("fields", {}) if line.startswith("{") else {}
        if fields.get("message") == "serving":
            return fields
    return None


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def postgres_programs():
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb")]
    return pathlib.Path(programs[-1]).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_for(condition, seconds, error):
    """Polls until the condition holds, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise TimeoutError(error)


def percentile(values, share):
    """A percentile of a list, nearest rank; None of an empty list."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def milliseconds(values):
    """The median, the 99th percentile and the maximum of seconds, in milliseconds."""
    if not values:
        return {"count": 0}
    return {
        "count": len(values),
        "p50_ms": round(statistics.median(values) * 1e3, 1),
        "p99_ms": round(percentile(values, 0.99) * 1e3, 1),
        "max_ms": round(max(values) * 1e3, 1),
    }


def arguments(description, **extra):
    """Parses the command line of an attack: `--binary`, and the options in `extra` as name=default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", required=True, help="the service's program, such as target/release/unificus")
    for name, default in extra.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def report(name, **figures):
    """Prints the figures as one line of JSON."""
    print(json.dumps({"attack": name, **figures}), flush=True)
