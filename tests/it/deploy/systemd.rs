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

/// Files that `deploy/secrets.sh` writes; they are not in the repository.
const DRAWN: [&str; 2] = ["deploy/.env", "deploy/tls"];

#[test]
fn every_file_that_the_operations_page_names_is_there() {
    let page = std::fs::read_to_string(repository("docs/operations.md")).unwrap();
    let words = page.split(|character: char| character.is_whitespace() || "`(){},:;<>|\"'".contains(character));
    let paths = words.filter_map(|word| word.strip_prefix("../").unwrap_or(word).strip_prefix("deploy/"));
    let paths: Vec<String> = paths.map(|path| format!("deploy/{}", path.trim_end_matches(['.', '…']))).collect();
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths.iter().filter(|path| !DRAWN.contains(&path.as_str())) {
        let directory_or_file = path.split_once('*').map_or(path.as_str(), |(before, _)| before);
        assert!(repository(directory_or_file).exists(), "docs/operations.md names {path}");
    }
}

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
