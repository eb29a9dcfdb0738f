//! Imports must not form a circle between the files of a crate.
//!
//! A file is a module. `mod` declarations and imports in tests do not count. A circle of an error type and the module next to
//! it is allowed: the error describes what failed there, and the module returns it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// The crates to check.
const CRATES: [&str; 4] = ["protocol", "store", "server", "web"];

/// The segments of a path, or of a module from the root of its crate.
type Path = Vec<String>;

/// The imports between files, by module.
type Imports<'m> = BTreeMap<(&'m Path, &'m Path), BTreeSet<String>>;

/// A path in the code of a file, and the module where it occurs.
#[derive(Debug)]
struct SeenPath {
    module: Path,
    path: Path,
}

/// Returns every circle in the checked crates. Takes all files with their texts.
pub(super) fn check(files: &[(String, String)]) -> Vec<String> {
    CRATES.iter().flat_map(|name| check_crate(&format!("crates/{name}/src/"), files)).collect()
}

fn check_crate(folder: &str, files: &[(String, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut names, mut paths) = (BTreeMap::new(), BTreeMap::new());
    for (file, text) in files {
        let Some(place) = file.strip_prefix(folder) else { continue };
        let module = module_of(place);
        match read_file(&module, text) {
            Ok(seen) => {
                names.insert(module.clone(), file.as_str());
                paths.insert(module, seen);
            }
            Err(error) => faults.push(format!("{file}: {error}")),
        }
    }
    let imports = find_imports(&paths);
    for circle in find_circles(&imports) {
        let inside = imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
        let lines = inside.map(|((from, _), paths)| {
            let paths = paths.iter().map(String::as_str).collect::<Vec<_>>();
            format!("\n    {} imports {}", names[*from], paths.join(", "))
        });
        faults.push(format!("{folder}: circular imports{}", lines.collect::<String>()));
    }
    faults
}

/// The module of a file, by its path below `src`.
fn module_of(place: &str) -> Path {
    match place.trim_end_matches(".rs") {
        "lib" | "main" => Path::new(),
        inner => inner.split('/').map(str::to_owned).collect(),
    }
}

fn read_file(module: &Path, text: &str) -> Result<Vec<SeenPath>, LexError> {
    let mut seen = Vec::new();
    read_code(module, text.parse()?, &mut seen);
    Ok(seen)
}

/// Collects the paths in code outside tests, including those in macros.
fn read_code(module: &Path, code: TokenStream, seen: &mut Vec<SeenPath>) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = match (token, after) {
            (TokenTree::Punct(sign), [TokenTree::Group(attribute), after @ ..])
                if sign.as_char() == '#' && attribute.stream().to_string().replace(' ', "") == "cfg(test)" =>
            {
                skip_item(after)
            }
            (TokenTree::Ident(word), [TokenTree::Ident(name), TokenTree::Group(body), after @ ..]) if word == "mod" => {
                read_code(&[module.as_slice(), &[name.to_string()]].concat(), body.stream(), seen);
                after
            }
            // After something other than a name, such as `<T as Trait>::name`.
            (_, [_, TokenTree::Ident(_), after @ ..]) if starts_with_colons(rest) => after,
            (TokenTree::Ident(_), _) => {
                let (paths, after) = read_tree(rest);
                seen.extend(paths.into_iter().map(|path| SeenPath { module: module.clone(), path }));
                after
            }
            (TokenTree::Group(group), _) => {
                read_code(module, group.stream(), seen);
                after
            }
            _ => after,
        };
    }
}

/// Returns what follows an item: after its body, or after its semicolon.
fn skip_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_sign(token, ';'),
    };
    let end = tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1);
    &tokens[end..]
}

/// Returns the paths that begin here, and what follows them: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn read_tree(tokens: &[TokenTree]) -> (Vec<Path>, &[TokenTree]) {
    let (mut path, mut rest) = (vec![tokens[0].to_string()], &tokens[1..]);
    while let (true, [_, _, next, after @ ..]) = (starts_with_colons(rest), rest) {
        match next {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let branches = inner.split(|token| is_sign(token, ',')).filter(|branch| !branch.is_empty());
                let paths = branches.flat_map(|branch| read_tree(branch).0);
                return (paths.map(|end| [path.as_slice(), end.as_slice()].concat()).collect(), after);
            }
            TokenTree::Ident(_) => {}
            star if is_sign(star, '*') => {}
            _ => break,
        }
        path.push(next.to_string());
        rest = after;
    }
    (vec![path], rest)
}

fn starts_with_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_sign(first, ':') && is_sign(second, ':'))
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Returns the imports between files, except those between an error type and the module next to it.
fn find_imports(modules: &BTreeMap<Path, Vec<SeenPath>>) -> Imports<'_> {
    let mut imports = Imports::new();
    for (importing, seen) in modules {
        for path in seen {
            if let Some(imported) = resolve(modules, path).filter(|imported| *imported != importing) {
                imports.entry((importing, imported)).or_default().insert(path.path.join("::"));
            }
        }
    }
    let is_next_to = |child: &Path, parent: &Path| child.split_last().is_some_and(|(_, above)| above == parent);
    imports.retain(|(from, to), paths| {
        let are_next = is_next_to(from, to) || is_next_to(to, from);
        !(are_next && paths.iter().all(|path| path.ends_with("Error")))
    });
    imports
}

/// Returns the file that a path leads to. `None` for a path outside the crate or a single name.
fn resolve<'m>(modules: &'m BTreeMap<Path, Vec<SeenPath>>, seen: &SeenPath) -> Option<&'m Path> {
    let (first, after) = seen.path.split_first().filter(|(_, after)| !after.is_empty())?;
    let full = match first.as_str() {
        "crate" => after.to_vec(),
        "self" | "super" => climb(&seen.module, &seen.path),
        _ => {
            // A name that belongs to no file below this one is from another crate or was imported.
            let full = [seen.module.as_slice(), seen.path.as_slice()].concat();
            modules.get(&full[..=seen.module.len()])?;
            full
        }
    };
    (0..=full.len()).rev().find_map(|end| modules.get_key_value(&full[..end])).map(|(module, _)| module)
}

/// Resolves a path with `self` and `super` from the root of the crate.
fn climb(module: &Path, path: &Path) -> Path {
    let mut full = module.clone();
    for segment in path {
        match segment.as_str() {
            "self" => {}
            "super" => drop(full.pop()),
            _ => full.push(segment.clone()),
        }
    }
    full
}

/// Returns the sets of modules that all import each other.
fn find_circles<'m>(imports: &Imports<'m>) -> BTreeSet<BTreeSet<&'m Path>> {
    let reached: BTreeMap<_, _> = imports.keys().map(|(from, _)| (*from, find_reached(imports, from))).collect();
    let leads_back = |from: &Path, to: &Path| reached.get(to).is_some_and(|reached| reached.contains(from));
    let circle = |from: &&'m Path| reached[from].iter().copied().filter(|to| leads_back(from, to)).collect();
    reached.keys().map(circle).filter(|circle: &BTreeSet<_>| !circle.is_empty()).collect()
}

/// Returns the modules that one module imports, directly or indirectly.
fn find_reached<'m>(imports: &Imports<'m>, from: &Path) -> BTreeSet<&'m Path> {
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(module) = waiting.pop() {
        for (_, to) in imports.keys().filter(|(from, _)| *from == module) {
            if reached.insert(*to) {
                waiting.push(to);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_files(files: &[(&str, &str)]) -> Vec<String> {
        let owned = |(file, text): &(&str, &str)| (format!("crates/store/src/{file}.rs"), (*text).to_owned());
        check(&files.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_circle_is_named_with_its_imports() {
        let faults = check_files(&[
            ("lib", "mod a; mod b; mod c; pub use a::A;"),
            ("a", "use crate::{b::{self, B, x::Y as Z}, d::D};"),
            ("b", "fn f() { transact!(store, |t| { crate::c::load(t) }) }"),
            ("c", "pub struct C(super::a::A);"),
            ("d", ""),
        ]);
        assert_eq!(
            faults,
            ["crates/store/src/: circular imports\
              \n    crates/store/src/a.rs imports crate::b::B, crate::b::self, crate::b::x::Y\
              \n    crates/store/src/b.rs imports crate::c::load\
              \n    crates/store/src/c.rs imports super::a::A"]
        );
    }

    #[test]
    fn each_form_of_an_import_counts() {
        for form in [
            "use crate::b::B;",
            "use super::b::*;",
            "use super::{b, c};",
            "pub(crate) use crate::{\n    c::{C, D},\n    b::{e::{F}},\n};",
            "mod inner { use super::super::b::B; }",
            "fn f(b: &mut crate::b::B) {}",
            "macro_rules! m { () => { $crate::b::f() }; }",
            "#[cfg(test)] use x::{y}; #[derive(Debug)] struct A(Vec<crate::b::B>);",
        ] {
            assert_eq!(check_files(&[("a", form), ("b", "use crate::a::A;")]).len(), 1, "{form}");
        }
    }

    #[test]
    fn other_paths_do_not_count_as_imports() {
        for form in [
            "mod b;",
            "/// See [`crate::b::B`].\n// crate::b::B",
            "const B: &str = \"crate::b::B\";",
            "fn f(b: B) { b.b::<u8>(); <T as U>::b::<u8>(); other::b::c(); ::b::c() }",
            "pub(crate) struct A; pub(super) struct B;",
            "#[cfg(test)]\nmod tests { use crate::b::B; }",
            "#[cfg(test)]\nuse crate::b::B;",
        ] {
            assert!(check_files(&[("a", form), ("b", "use crate::a::A;"), ("a/b", "")]).is_empty(), "{form}");
        }
    }

    #[test]
    fn a_module_and_its_children_form_a_circle_except_for_errors() {
        let both = |parent, child| check_files(&[("a", parent), ("a/b", child)]).len();
        assert_eq!(both("mod b; use b::B;", "use super::A;"), 1);
        assert_eq!(both("mod b; fn f() { b::go(); self::b::go() }", "use crate::a::{A, FileError};"), 1);
        assert_eq!(both("mod b; use self::b::B;", "use super::FileError;"), 0);
        assert_eq!(both("mod b; pub use b::FileError;", "use super::A;"), 0);
        assert_eq!(both("mod b;", "use super::A;"), 0);
        assert_eq!(check_files(&[("a", "use crate::b::FileError;"), ("b", "use crate::a::A;")]).len(), 1);
    }

    #[test]
    fn the_root_of_the_crate_counts_like_any_file() {
        assert_eq!(
            check_files(&[("lib", "mod a; pub use a::A; pub type Time = i64;"), ("a", "use crate::Time;")]).len(),
            1
        );
        assert_eq!(check_files(&[("lib", "mod a; pub type Time = i64;"), ("a", "use crate::Time;")]).len(), 0);
    }

    #[test]
    fn a_file_that_does_not_parse_is_a_fault() {
        assert_eq!(check_files(&[("a", "fn f( {")]).len(), 1);
    }
}
