#!/usr/bin/env python3
"""A second replica starts on a machine whose clock is 25 hours ahead (a preloaded clock_gettime, built with cc).

Prints whether the responses stored under idempotency keys are still replayed, and the error of stored times.
"""

import pathlib
import subprocess
import time

from cluster import Cluster, arguments, report

AHEAD = 25 * 3600

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, at);
    if (!failed && clock == CLOCK_REALTIME) at->tv_sec += AHEAD;
    return failed;
}
"""


def main():
    options = arguments(__doc__, answers=50)
    with Cluster(options.binary, accounts=1, replicas=1) as cluster:
        source, library = cluster.directory / "shim.c", cluster.directory / "shim.so"
        pathlib.Path(source).write_text(SHIM)
        subprocess.run(["cc", "-shared", "-fPIC", f"-DAHEAD={AHEAD}", "-o", library, source, "-ldl"], check=True)
        account, right = cluster.accounts[0], cluster.replicas[0]

        def create(replica, number):
            body = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"p{number}@example.org"}
            return replica.call(account, "POST", "/contact", body, {"Idempotency-Key": f"k{number}"})

        for number in range(options.answers):
            create(right, number)
        # Expires one record: when it is gone, the other replica has deleted expired records.
        cluster.sql("update idempotency_record set at = at - interval '25 hours' where key = 'k0'")
        wrong = cluster.start_replica(prefix=["env", f"LD_PRELOAD={library}"])
        deadline = time.monotonic() + 70
        while cluster.sql("select count(*) from idempotency_record where key = 'k0'") != "0" and time.monotonic() < deadline:
            time.sleep(0.2)
        kept = int(cluster.sql("select count(*) from idempotency_record"))
        replayed = sum(create(right, n)[1].get("Idempotent-Replayed") == "true" for n in range(1, options.answers))
        create(wrong, "wrong")
        off = "select max(extract(epoch from at - clock_timestamp()))::bigint from"
        report(
            "wrong_clock",
            answers=options.answers - 1,
            kept=kept,
            replayed=replayed,
            newest_event_ahead_s=int(cluster.sql(f"{off} event")),
            newest_answer_ahead_s=int(cluster.sql(f"{off} answer")),
        )


if __name__ == "__main__":
    main()
