//! The units of systemd.

use tokio::process::Command;

use super::{printed, repository, run, succeeded};

const UNITS: [&str; 3] = [
    "deploy/systemd/unificus@.service",
    "deploy/systemd/unificus-migrate.service",
    "deploy/systemd/nats-server@.service",
];

/// The exposure that the units may have at most, in tenths: `systemd-analyze security` rates from 0 (none) to 100.
const MAX_EXPOSURE: u32 = 12;

#[tokio::test]
async fn the_units_are_hardened() {
    for unit in UNITS {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=true", "--no-pager", &format!("--threshold={MAX_EXPOSURE}")]);
        let analyzed = succeeded(&run(analyze.arg(repository(unit))).await);
        assert!(analyzed.contains("Overall exposure level"), "{unit}: {analyzed}");
    }
}

#[tokio::test]
async fn systemd_understands_every_line_of_the_units() {
    for unit in UNITS {
        let output = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(repository(unit))).await;
        // The programs are installed where the units run.
        let printed = printed(&output);
        let complaints: Vec<&str> =
            printed.lines().filter(|line| !line.contains("is not executable: No such file")).collect();
        assert!(complaints.is_empty(), "{unit}: {complaints:?}");
    }
}
