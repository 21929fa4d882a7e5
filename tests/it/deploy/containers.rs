//! The image, the compose file and the manifests of Kubernetes. There is no container engine in tests: linters and the
//! published schemas check the files, and the commands of the image's stages run as they stand there.

use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

use super::{python_tool, repository, run, succeeded};
use crate::support::program::Dir;

/// Releases of Kubernetes whose schemas the manifests must match: the oldest supported ones and the newest.
const KUBERNETES: [&str; 3] = ["1.33", "1.35", "1.37"];

#[tokio::test]
async fn hadolint_finds_nothing_in_the_dockerfile() {
    let mut hadolint = Command::new(python_tool("hadolint"));
    hadolint.args(["--no-color", "--failure-threshold", "style"]);
    let output = run(hadolint.arg(repository("deploy/Dockerfile"))).await;
    assert_eq!(succeeded(&output), "");
}

#[tokio::test]
async fn the_compose_file_follows_the_compose_specification() {
    let mut check = Command::new(python_tool("check-jsonschema"));
    check.args(["--builtin-schema", "vendor.compose-spec"]);
    succeeded(&run(check.arg(repository("deploy/compose.yaml"))).await);
}

#[tokio::test]
async fn every_file_that_the_compose_file_mounts_is_there() {
    let compose = yaml("deploy/compose.yaml").await.remove(0);
    let mut mounted = BTreeSet::new();
    for service in compose["services"].as_object().unwrap().values() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            mounted.extend(volume.as_str().unwrap().split(':').next().unwrap().strip_prefix("./").map(str::to_owned));
        }
    }
    // The certificates are drawn by deploy/secrets.sh.
    mounted.retain(|path| !path.starts_with("tls"));
    assert!(mounted.len() > 2, "{mounted:?}");
    let missing: Vec<_> = mounted.iter().filter(|path| !repository("deploy").join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn the_compose_file_asks_for_the_secrets_that_the_script_draws() {
    let dir = Dir::new("secrets");
    std::fs::create_dir_all(dir.path().join("nats")).unwrap();
    for file in ["secrets.sh", "nats/certificates.sh"] {
        std::fs::copy(repository("deploy").join(file), dir.path().join(file)).unwrap();
    }
    succeeded(&run(Command::new(dir.path().join("secrets.sh")).arg(env!("CARGO_BIN_EXE_unificus"))).await);
    let drawn = std::fs::read_to_string(dir.path().join(".env")).unwrap();
    let drawn = drawn.lines().filter_map(|line| line.split_once('=')).filter(|(_, value)| value.len() > 40);
    let drawn: BTreeSet<&str> = drawn.map(|(name, _)| name).collect();
    let compose = std::fs::read_to_string(repository("deploy/compose.yaml")).unwrap();
    let needed: BTreeSet<&str> = compose.split("${").skip(1).filter_map(|rest| rest.split(":?").next()).collect();
    assert_eq!(drawn, needed);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_image_has_the_program_what_it_loads_and_nothing_that_root_needs() {
    let dir = Dir::new("image");
    let program = dir.path().join("usr/bin/unificus");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_unificus"), &program).unwrap();
    succeeded(&run(Command::new(repository("deploy/image-root.sh")).arg(dir.path())).await);

    // Only with the image's own loader and libraries, as in the container.
    let named = succeeded(&run(Command::new("ldd").arg(&program)).await);
    let named = named.split_whitespace().filter_map(|word| word.strip_prefix('/')).map(|path| dir.path().join(path));
    let (loader, libraries): (Vec<PathBuf>, Vec<PathBuf>) =
        named.partition(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-")));
    assert!(loader.len() == 1 && libraries.len() >= 2, "{loader:?} {libraries:?}");
    let mut isolated = Command::new(&loader[0]);
    isolated.args(["--inhibit-cache", "--library-path"]).arg(libraries[0].parent().unwrap());
    let version = succeeded(&run(isolated.arg(&program).arg("--version")).await);
    assert!(version.starts_with("unificus "), "{version}");
    for library in libraries {
        assert!(library.exists(), "{}", library.display());
    }
    for file in ["etc/ssl/certs/ca-certificates.crt", "etc/passwd", "etc/group", "etc/nsswitch.conf"] {
        assert!(dir.path().join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert!(!dir.path().join("bin/sh").exists());
}

#[tokio::test]
async fn the_manifests_are_valid_in_three_releases_of_kubernetes() {
    for release in KUBERNETES {
        let mut validate = Command::new(python_tool("kubernetes-validate"));
        validate.args(["--strict", "--kubernetes-version", release]);
        let files = manifests().into_iter().map(|file| repository("deploy/kubernetes").join(file));
        succeeded(&run(validate.args(files)).await);
    }
}

/// The names of the manifests.
fn manifests() -> Vec<String> {
    let files = std::fs::read_dir(repository("deploy/kubernetes")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml").collect();
    names.sort_unstable();
    names
}

/// The documents of a YAML file.
async fn yaml(path: &str) -> Vec<Value> {
    let read = "import json, sys, yaml
print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut python = Command::new(python_tool("python"));
    let printed = succeeded(&run(python.args(["-c", read]).arg(repository(path))).await);
    serde_json::from_str(&printed).unwrap()
}

#[tokio::test]
async fn every_pod_runs_without_rights_and_with_secrets_by_reference() {
    let kustomization = yaml("deploy/kubernetes/kustomization.yaml").await.remove(0);
    let listed = kustomization["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    assert_eq!(listed.collect::<BTreeSet<_>>(), manifests().into_iter().collect(), "every manifest is applied");

    let mut kinds = BTreeSet::new();
    for file in manifests() {
        for document in yaml(&format!("deploy/kubernetes/{file}")).await {
            kinds.insert(document["kind"].as_str().unwrap().to_owned());
            let pod = &document["spec"]["template"]["spec"];
            if !pod.is_object() {
                continue;
            }
            let name = &document["metadata"]["name"];
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for container in pod["containers"].as_array().unwrap() {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{name}");
                assert!(container["resources"]["requests"].is_object(), "{name}");
                for variable in container["env"].as_array().into_iter().flatten() {
                    let is_secret = ["URL", "SEED", "KEYS", "PASSWORD"]
                        .iter()
                        .any(|part| variable["name"].as_str().unwrap().ends_with(part));
                    let from = &variable["valueFrom"]["secretKeyRef"];
                    assert!(!is_secret || from.is_object(), "{name}: {variable}");
                }
            }
        }
    }
    let needed = ["Deployment", "HorizontalPodAutoscaler", "Job", "NetworkPolicy", "PodDisruptionBudget", "Service"];
    for kind in needed {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    assert!(!kinds.contains("Secret"), "a secret does not stand in a file");
}
