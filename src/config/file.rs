//! The configuration file: YAML in, settings or what is wrong with them out.

use std::collections::HashMap;
use std::mem::take;
use std::path::Path;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value, json};

use super::problem::{At, Problem, Problems};
use super::settings::{Destination, Settings};
use crate::limits::CONFIG_BYTES;

/// A file with everything in it, explained.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// Reads a file. `${NAME}` in it is what `variables` has under that name.
pub async fn read(path: &Path, variables: HashMap<String, String>) -> Result<Settings, Problems> {
    let file = path.display().to_string();
    let cannot = |what: String| Problems(vec![Problem { file: Some(file.clone()), place: None, what }]);
    let size = tokio::fs::metadata(path).await.map_err(|error| cannot(format!("cannot be read: {error}")))?.len();
    if size > CONFIG_BYTES {
        return Err(cannot(format!("is larger than {CONFIG_BYTES} bytes")));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|error| cannot(format!("cannot be read: {error}")))?;
    let settings =
        parse(&text, variables).map_err(|problem| Problems(vec![Problem { file: Some(file.clone()), ..problem }]))?;
    Ok(settings.based_in(path.parent().unwrap_or(Path::new(""))))
}

/// Reads the text of a file.
pub fn parse(text: &str, variables: HashMap<String, String>) -> Result<Settings, Problem> {
    // No snippet of the file in an error: the line before may be a key.
    let options = serde_saphyr::options! { with_snippet: false }.with_properties(variables);
    match serde_saphyr::from_str_with_options::<Option<Settings>>(text, options) {
        Ok(settings) => Ok(settings.unwrap_or_default()),
        Err(error) => Err(Problem::of(&error)),
    }
}

/// Reads a destination that stands for itself, in which nothing stands for anything else.
pub(super) fn destination(text: &str) -> Result<At<Destination>, Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Problem::of(&error))
}

/// The environment, as far as it is text.
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What may stand in the file, for editors (JSON Schema).
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null)).into_generator();
    serde_json::to_string_pretty(&generator.into_root_schema_for::<Settings>()).expect("a schema is text")
}

/// A key has a value, or is not there.
fn without_null(schema: &mut Schema) {
    let is_null = |value: &Value| *value == json!("null") || *value == json!({"type": "null"});
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|value| !is_null(value));
        if let [only] = &mut types[..] {
            let only = only.take();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|value| !is_null(value));
        if let [Value::Object(only)] = &mut any[..] {
            let only = take(only);
            schema.remove("anyOf");
            only.into_iter().for_each(|(key, value)| _ = schema.insert(key, value));
        }
    }
}
