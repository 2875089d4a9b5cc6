//! Compares the pages and schemas below `docs` with what the code says and prints. For tests of all crates.
//!
//! A published schema allows unknown fields, because newer versions add some. Outputs are validated more strictly: a
//! field that the schema does not name is refused, so that no field is printed and not described.

use jsonschema::Validator;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;

/// Checks that a file below `docs` has this text. `HOMELAB_WRITE_DOCS=1` writes it.
///
/// # Panics
/// When the file has another text, or cannot be read or written.
pub fn is_page(file: &str, text: &str) {
    let path = path(file);
    if std::env::var_os("HOMELAB_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("write {path}: {error}"));
    }
    let page = read(file);
    assert!(page == text, "docs/{file} is not what the code says, which is:\n{text}");
}

/// Checks that `docs/schemas/<file>` is the schema of a type. `HOMELAB_WRITE_DOCS=1` writes it.
///
/// # Panics
/// When the file has another schema, or cannot be read or written.
pub fn is_schema<T: JsonSchema>(file: &str) {
    let text = serde_json::to_string_pretty(&schema_for!(T)).expect("keys of a schema are strings");
    is_page(&format!("schemas/{file}"), &(text + "\n"));
}

/// Checks that outputs conform to `docs/schemas/<file>`, and would not without their version.
///
/// # Panics
/// When there is no output; when one is not JSON, does not conform to the schema, or has a field that the schema does
/// not name; when the schema does not require the version, or cannot be read.
pub fn conform<O: AsRef<str>>(file: &str, outputs: &[O]) {
    let schema = read(&format!("schemas/{file}"));
    let validator = strict(serde_json::from_str(&schema).expect("a schema is JSON"));
    assert!(!outputs.is_empty(), "there is nothing to validate by docs/schemas/{file}");
    for output in outputs {
        let mut output: Value = serde_json::from_str(output.as_ref()).expect("the output is JSON");
        let objections = objections(&validator, &output);
        assert!(objections.is_empty(), "docs/schemas/{file} objects: {objections:#?}\n{output:#}");
        output.as_object_mut().expect("the output is an object").remove("version");
        assert!(!validator.is_valid(&output), "docs/schemas/{file} does not require a version");
    }
}

/// A validator that checks formats as well and refuses fields that the schema does not name.
fn strict(schema: Value) -> Validator {
    let mut schema = Schema::try_from(schema).expect("a schema is an object");
    RecursiveTransform(|schema: &mut Schema| {
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
    })
    .transform(&mut schema);
    let validator = jsonschema::options().should_validate_formats(true).build(schema.as_value());
    validator.expect("a schema that is valid by its metaschema")
}

/// Each objection with the place in the output: `/instances/0/name: 7 is not of type "string"`.
fn objections(validator: &Validator, output: &Value) -> Vec<String> {
    validator.iter_errors(output).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn path(file: &str) -> String {
    format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    let path = path(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Output {
        version: u32,
        #[schemars(extend("format" = "date-time"))]
        at: Option<String>,
        items: Vec<Item>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Item {
        name: String,
    }

    #[test]
    fn each_objection_is_shown_with_its_place() {
        let validator = strict(schema_for!(Output).into());
        let sound = json!({ "version": 1, "at": "2026-11-18T00:00:00Z", "items": [{ "name": "acme" }] });
        assert_eq!(objections(&validator, &sound), Vec::<String>::new());
        let wrong =
            json!({ "version": -1, "at": "today", "items": [{ "name": 7 }, { "name": "a", "new": 1 }] });
        assert_eq!(
            objections(&validator, &wrong),
            [
                "/version: -1 is less than the minimum of 0",
                "/at: \"today\" is not a \"date-time\"",
                "/items/0/name: 7 is not of type \"string\"",
                "/items/1: Additional properties are not allowed ('new' was unexpected)",
            ]
        );
    }

    #[test]
    #[should_panic(expected = "there is nothing to validate")]
    fn nothing_conforms_to_nothing() {
        conform::<&str>("event.json", &[]);
    }
}
