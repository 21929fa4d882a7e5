//! The files of `src/` as the compiler sees them: which module is which file, and which file a path leads to.
//!
//! Names are resolved as far as imports go: child modules, items, `use` with its groups, aliases and globs, and re-exports,
//! which are followed to the file that defines the item. A method, a macro's products and a type's variants are not known.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::source::{Path, Source};

type ModulePath = Vec<String>;

/// The modules of production code, inline ones included.
pub(crate) struct Modules {
    sources: Vec<Source>,
    modules: BTreeMap<ModulePath, Module>,
}

/// A path that leads from one file to another.
pub(crate) struct Use {
    pub(crate) from: String,
    pub(crate) line: usize,
    pub(crate) to: String,
    pub(crate) path: String,
}

#[derive(Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// `mod x;`, whether the file `x` was read or not.
    declared: BTreeSet<String>,
}

struct Import {
    /// The name that it gives; a glob gives none.
    name: Option<String>,
    segments: Vec<String>,
}

enum Target {
    Module(ModulePath),
    /// An item, by the module that defines it.
    Definition(ModulePath),
}

enum Lookup {
    Known(Target),
    /// The name is known and does not lie in the files that were read.
    Foreign,
    Unknown,
}

impl Modules {
    /// Tests are left out: files that are tests, files that are declared for tests alone, and the inline `mod tests`.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let test_modules = sources.iter().flat_map(Source::test_modules).collect::<Vec<_>>();
        let is_test = |source: &Source| {
            let module = source.module();
            source.is_test() || test_modules.iter().any(|test| module.starts_with(test))
        };
        let sources = sources.iter().filter(|source| !is_test(source)).map(Source::without_tests).collect::<Vec<_>>();
        let mut modules = BTreeMap::new();
        for source in sources.iter().filter(|source| source.path != "src/main.rs") {
            read_modules(source, &mut modules);
        }
        Self { sources, modules }
    }

    /// Every path that leads from one file to another, re-exports followed. The import of a module leads nowhere by itself:
    /// the paths that go through it do.
    pub(crate) fn uses(&self) -> Vec<Use> {
        let paths = self.sources.iter().flat_map(|source| source.paths().into_iter().map(move |path| (source, path)));
        let uses = paths.filter_map(|(source, path)| {
            let to = self.file_of(source, &path)?.to_owned();
            (to != source.path).then(|| Use {
                from: source.path.clone(),
                line: path.line,
                to,
                path: path.segments.join("::"),
            })
        });
        uses.collect()
    }

    fn file_of(&self, source: &Source, path: &Path) -> Option<&str> {
        let is_glob = path.segments.last().is_some_and(|last| last == "*");
        let segments = path.segments.strip_suffix(&["*".to_owned()]).unwrap_or(&path.segments);
        if path.segments.len() < 2 {
            return None;
        }
        let from = [source.module(), path.inline_modules.clone()].concat();
        let module = match self.resolve(&from, segments, &mut Vec::new())? {
            Target::Definition(module) => module,
            Target::Module(module) if is_glob => module,
            Target::Module(_) => return None,
        };
        self.modules.get(&module).map(|module| module.file.as_str())
    }

    /// `trail` has the names that are being looked up, so that imports of each other end.
    fn resolve(&self, from: &[String], segments: &[String], trail: &mut Vec<(ModulePath, String)>) -> Option<Target> {
        let (mut module, rest) = anchor(from, segments)?;
        let mut is_inside = rest.len() < segments.len();
        let rest = rest.strip_suffix(&["self".to_owned()]).unwrap_or(rest);
        self.modules.get(&module)?;
        for (at, name) in rest.iter().enumerate() {
            match self.lookup(&module, name, at + 1 == rest.len(), trail) {
                Lookup::Known(Target::Module(child)) => module = child,
                Lookup::Known(item) => return Some(item),
                Lookup::Foreign => return None,
                Lookup::Unknown => return is_inside.then_some(Target::Definition(module)),
            }
            is_inside = true;
        }
        Some(Target::Module(module))
    }

    fn lookup(&self, path: &[String], name: &str, is_last: bool, trail: &mut Vec<(ModulePath, String)>) -> Lookup {
        let Some(module) = self.modules.get(path) else { return Lookup::Foreign };
        let child = [path, &[name.to_owned()]].concat();
        let import = module.imports.iter().find(|import| import.name.as_deref() == Some(name));
        // A function may have the name of the module beside it; at a path's end the function is meant.
        if self.modules.contains_key(&child) && !(is_last && import.is_some()) {
            return Lookup::Known(Target::Module(child));
        }
        if module.items.contains(name) {
            return Lookup::Known(Target::Definition(path.to_vec()));
        }
        let step = (path.to_vec(), name.to_owned());
        if trail.contains(&step) {
            return Lookup::Foreign;
        }
        trail.push(step);
        if let Some(import) = import {
            return self.resolve(path, &import.segments, trail).map_or(Lookup::Foreign, Lookup::Known);
        }
        if module.declared.contains(name) {
            return Lookup::Foreign;
        }
        self.lookup_in_globs(path, module, name, trail)
    }

    fn lookup_in_globs(
        &self,
        path: &[String],
        module: &Module,
        name: &str,
        trail: &mut Vec<(ModulePath, String)>,
    ) -> Lookup {
        for import in module.imports.iter().filter(|import| import.name.is_none()) {
            if let Some(Target::Module(glob)) = self.resolve(path, &import.segments, trail)
                && let Lookup::Known(target) = self.lookup(&glob, name, true, trail)
            {
                return Lookup::Known(target);
            }
        }
        Lookup::Unknown
    }
}

/// Where a path begins, and what is left of it: `crate::a` at the root, `super::a` above, `a` in the module itself.
pub(crate) fn anchor<'a>(from: &[String], segments: &'a [String]) -> Option<(ModulePath, &'a [String])> {
    let mut module = from.to_vec();
    let mut rest = segments;
    if let [first, after @ ..] = rest {
        match first.as_str() {
            "crate" | "unificus" => return Some((Vec::new(), after)),
            "self" => rest = after,
            _ => {}
        }
    }
    while let [first, after @ ..] = rest
        && first == "super"
    {
        module.pop()?;
        rest = after;
    }
    Some((module, rest))
}

/// Adds the module of a file and its inline modules.
fn read_modules(source: &Source, modules: &mut BTreeMap<ModulePath, Module>) {
    let file = source.module();
    let mut blocks: Vec<Option<String>> = Vec::new();
    for at in 0..=source.tokens.len() {
        let path = file.iter().chain(blocks.iter().flatten()).cloned().collect::<Vec<_>>();
        let module = modules.entry(path).or_default();
        module.file.clone_from(&source.path);
        let is_item = blocks.iter().all(Option::is_some);
        let name = source.word(at + 1);
        match source.word(at) {
            "{" => blocks.push(source.inline_module(at)),
            "}" => {
                blocks.pop();
            }
            "use" if name != "<" => {
                read_import(source, at + 1, &[], &mut module.imports);
            }
            "mod" if source.word(at + 2) == ";" => {
                module.declared.insert(name.into());
            }
            "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static" if is_item => {
                module.items.insert(name.into());
            }
            "macro_rules" if is_item => {
                module.items.insert(source.word(at + 2).into());
            }
            _ => {}
        }
    }
}

/// Reads the tree of a `use` from one of its branches on, and says where the branch ends.
fn read_import(source: &Source, mut at: usize, prefix: &[String], imports: &mut Vec<Import>) -> usize {
    let mut segments = prefix.to_vec();
    loop {
        match source.word(at) {
            "{" => return read_group(source, at + 1, &segments, imports),
            "*" => {
                imports.push(Import { name: None, segments });
                return at + 1;
            }
            "as" => {
                imports.push(Import { name: Some(source.word(at + 1).into()), segments });
                return at + 2;
            }
            "," | "}" | ";" | "" => {
                let name = segments.iter().rfind(|segment| *segment != "self").cloned();
                imports.extend(name.map(|name| Import { name: Some(name), segments }));
                return at;
            }
            "::" => {}
            word => segments.push(word.into()),
        }
        at += 1;
    }
}

fn read_group(source: &Source, mut at: usize, prefix: &[String], imports: &mut Vec<Import>) -> usize {
    loop {
        at = match source.word(at) {
            "}" => return at + 1,
            ";" | "" => return at,
            "," => at + 1,
            _ => read_import(source, at, prefix, imports),
        };
    }
}
