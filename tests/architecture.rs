//! The rules of the house. Each is a test, reads the package's own files, and fails with the place and the reason.
//!
//! Who may use whom, what belongs where, and every exception stand in `architecture/tables.rs`.

#![cfg(test)]

mod architecture {
    pub(crate) mod borders;
    pub(crate) mod comments;
    pub(crate) mod contracts;
    pub(crate) mod cycles;
    pub(crate) mod imports;
    pub(crate) mod layers;
    pub(crate) mod migrations;
    pub(crate) mod names;
    pub(crate) mod package;
    pub(crate) mod scanner;
    pub(crate) mod shape;
    pub(crate) mod source;
    pub(crate) mod sql;
    pub(crate) mod tables;
    pub(crate) mod violation;
    pub(crate) mod vocabulary;
}

use architecture::migrations::as_source;
use architecture::package::Package;
use architecture::source::Source;
use architecture::violation::hold;
use architecture::{comments, contracts, cycles, migrations, names, package, shape, sql, tables, vocabulary};

fn src() -> Vec<Source> {
    Package::read().sources("src/")
}

/// The sources that run in production: all of `src` but its tests, whose fakes spawn, take time and answer with statuses.
fn production() -> Vec<Source> {
    src().into_iter().filter(|source| !source.is_test()).collect()
}

fn all() -> Vec<Source> {
    Package::read().all_sources()
}

#[test]
fn the_rules_see_the_package() {
    let seen = all();
    for path in ["src/lib.rs", "src/main.rs", "tests/architecture.rs", "tests/architecture/tables.rs"] {
        assert!(seen.iter().any(|source| source.path == path), "{path} was not read");
    }
}

#[test]
fn modules_use_only_what_lies_below() {
    let src = src();
    let violations = tables::LAYERED.iter().flat_map(|layers| layers.modules_use_only_what_lies_below(&src));
    hold(&violations.collect::<Vec<_>>(), &[]);
}

#[test]
fn modules_form_no_cycle() {
    let src = src();
    let violations = tables::LAYERED.iter().flat_map(|layers| layers.modules_form_no_cycle(&src));
    hold(&violations.collect::<Vec<_>>(), &[]);
}

#[test]
fn files_form_no_import_cycle() {
    hold(&cycles::files_form_no_import_cycle(&src()), &[]);
}

#[test]
fn folders_never_name_what_they_must_not_know() {
    let src = src();
    let never = tables::NEVER.iter().flat_map(|rule| rule.violations(&src));
    let apart = tables::APART.iter().flat_map(|rule| rule.violations(&src));
    hold(&never.chain(apart).collect::<Vec<_>>(), &[]);
}

#[test]
fn every_folder_that_the_tables_name_exists() {
    let never = tables::NEVER.iter().map(|rule| (rule.inside, rule.why));
    let apart = tables::APART.iter().flat_map(|rule| [(rule.from, rule.why), (rule.to, rule.why)]);
    let layered = tables::LAYERED.iter().map(|layers| (layers.inside, "its modules lie in layers"));
    let folders = tables::FOLDERS.iter().copied().chain(never).chain(apart).chain(layered).collect::<Vec<_>>();
    hold(&shape::every_folder_that_the_tables_name_exists(&folders, &src()), &[]);
}

#[test]
fn no_word_of_the_private_vocabulary_is_an_identifier() {
    hold(&vocabulary::no_word_of_the_private_vocabulary_is_an_identifier(&all()), &[]);
}

#[test]
fn no_word_of_the_private_vocabulary_names_a_table_or_column() {
    let migrations = Package::read().migrations();
    hold(&vocabulary::no_word_of_the_private_vocabulary_names_a_table_or_column(&migrations), &[]);
}

#[test]
fn every_allowed_word_is_used() {
    hold(&vocabulary::every_allowed_word_is_used(&all()), &[]);
}

#[test]
fn one_public_type_has_one_name() {
    hold(&names::one_public_type_has_one_name(&src()), &[]);
}

#[test]
fn no_comment_opens_with_its_object() {
    let scripts = comments::scripts(Package::read().files());
    let everywhere = all().into_iter().chain(scripts).collect::<Vec<_>>();
    hold(&comments::no_comment_opens_with_its_object(&everywhere), &[]);
}

#[test]
fn only_the_store_names_postgres() {
    hold(&tables::DATABASE.violations(&src()), &[]);
}

#[test]
fn only_the_store_contains_sql() {
    hold(&sql::sql_stays_in_the_store(&src()), &[]);
}

#[test]
fn only_the_broker_names_nats() {
    hold(&tables::BROKER.violations(&src()), &[]);
}

#[test]
fn only_the_clock_reads_the_time() {
    hold(&tables::TIME.violations(&production()), &[]);
}

#[test]
fn only_config_reads_the_environment() {
    hold(&tables::ENVIRONMENT.violations(&src()), &[]);
}

#[test]
fn only_app_spawns_tasks() {
    hold(&tables::TASKS.violations(&production()), tables::TASK_EXCEPTIONS);
}

#[test]
fn only_problem_chooses_an_errors_status() {
    hold(&tables::STATUS.violations(&production()), tables::STATUS_EXCEPTIONS);
}

#[test]
fn every_statement_has_a_name_of_its_own() {
    hold(&sql::every_statement_has_a_name_of_its_own(&src()), &[]);
}

#[test]
fn every_statement_takes_the_account_id() {
    hold(&sql::every_statement_takes_the_account_id(&src()), tables::STATEMENT_EXCEPTIONS);
}

#[test]
fn every_tables_key_begins_with_the_account_id() {
    let migrations = Package::read().migrations();
    hold(&migrations::every_tables_key_begins_with_the_account_id(&migrations), tables::KEY_EXCEPTIONS);
}

#[test]
fn every_migration_says_how_it_behaves_on_a_full_table() {
    hold(&migrations::every_migration_says_how_it_behaves_on_a_full_table(&Package::read().migrations()), &[]);
}

#[test]
fn no_migration_breaks_replicas_of_the_version_before() {
    let migrations = Package::read().migrations();
    hold(&contracts::no_migration_breaks_replicas_of_the_version_before(&migrations), tables::CONTRACT_EXCEPTIONS);
}

#[test]
fn every_folder_has_a_front_door() {
    hold(&shape::every_folder_has_a_front_door(&src()), &[]);
}

#[test]
fn files_stay_small() {
    hold(&shape::files_stay_small(&all()), &[]);
}

#[test]
fn functions_stay_small() {
    hold(&shape::functions_stay_small(&all()), tables::FUNCTION_EXCEPTIONS);
}

#[test]
fn no_test_is_ignored() {
    hold(&shape::no_test_is_ignored(&all()), &[]);
}

#[test]
fn no_test_sleeps() {
    let package = Package::read();
    let run = package.sources("src/").into_iter().chain(package.sources("tests/")).collect::<Vec<_>>();
    hold(&shape::no_test_sleeps(&run), tables::SLEEP_EXCEPTIONS);
}

#[test]
fn no_work_is_left_unfinished() {
    let migrations = Package::read().migrations();
    let everywhere = all().into_iter().chain(migrations.iter().map(as_source)).collect::<Vec<_>>();
    hold(&shape::no_work_is_left_unfinished(&everywhere), &[]);
}

#[test]
fn no_file_names_the_machine_or_a_registry() {
    hold(&package::no_file_names_the_machine_or_a_registry(Package::read().files()), &[]);
}

#[test]
fn every_dependency_writes_its_features_out() {
    hold(&package::every_dependency_writes_its_features_out(Package::read().file("Cargo.toml")), &[]);
}
