//! Namespaces: what a client may wish, and what a far side tells.

use std::collections::BTreeMap;

use crate::namespace::NAMESPACE_MARK;
use crate::spec::check_metadata;
use crate::wire::FunctionNamespace;
use crate::{Namespace, NamespaceSpec, SpecError};

use super::error;

impl FunctionNamespace {
    /// The namespace that this request asks for: one for functions, also where it leaves out the marks that say so.
    /// Fails when it says that it is to be none.
    pub fn into_spec(self) -> Result<NamespaceSpec, SpecError> {
        let name = self.name.unwrap_or_default();
        let name = Namespace::parse(&name).map_err(|problem| error("name", problem))?;
        let labels = marked("labels", self.labels)?;
        let annotations = marked("annotations", self.annotations)?;
        Ok(NamespaceSpec { name, labels, annotations })
    }

    /// What a far side tells, as it is; `name` is the one that was asked for.
    pub fn told(self, name: &Namespace) -> NamespaceSpec {
        NamespaceSpec {
            name: name.clone(),
            labels: self.labels.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default(),
        }
    }

    /// Fails when the request contradicts the path, or says that the namespace is none for functions.
    pub fn check_removal(&self, path: &Namespace) -> Result<(), SpecError> {
        self.check_name(path.as_str())?;
        let mark = self.labels.as_ref().and_then(|labels| labels.get(NAMESPACE_MARK));
        mark.map_or(Ok(()), |mark| check_mark("labels", mark))
    }

    /// Fails when both the path and the body name one, and not the same.
    pub fn check_name(&self, path: &str) -> Result<(), SpecError> {
        match self.name.as_deref().filter(|name| !name.is_empty() && !path.is_empty() && *name != path) {
            Some(name) => {
                let shown: String = name.chars().take(64).collect();
                let problem = format!("the body says {shown:?} and the path says {path:?}; say one of them");
                Err(error("name", problem))
            }
            None => Ok(()),
        }
    }
}

impl From<NamespaceSpec> for FunctionNamespace {
    fn from(spec: NamespaceSpec) -> Self {
        Self {
            name: Some(spec.name.to_string()),
            annotations: Some(spec.annotations),
            labels: Some(spec.labels),
        }
    }
}

fn marked(
    field: &str,
    given: Option<BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, SpecError> {
    let mut given = given.unwrap_or_default();
    let mark = given.entry(NAMESPACE_MARK.to_owned()).or_insert_with(|| "1".to_owned());
    check_mark(field, mark)?;
    check_metadata(field, &given)?;
    Ok(given)
}

fn check_mark(field: &str, mark: &str) -> Result<(), SpecError> {
    if mark == "1" {
        return Ok(());
    }
    let problem = format!("{NAMESPACE_MARK} must be \"1\", which marks a namespace for functions");
    Err(error(field, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Result<NamespaceSpec, String> {
        let wire: FunctionNamespace = serde_json::from_str(json).map_err(|error| error.to_string())?;
        wire.into_spec().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_wished_carries_the_marks() {
        let bare = NamespaceSpec::marked(Namespace::parse("dev").unwrap());
        assert_eq!(spec(r#"{"name":"dev"}"#).unwrap(), bare);
        assert_eq!(spec(r#"{"name":"dev","labels":null,"annotations":{}}"#).unwrap(), bare);
        let marked = r#"{"name":"dev","labels":{"openfaas":"1"},"annotations":{"openfaas":"1"}}"#;
        assert_eq!(spec(marked).unwrap(), bare);
        let check = |json: &str, field: &str| {
            let told = spec(json).unwrap_err();
            assert!(told.starts_with(field), "{json}: {told}");
        };
        check("{}", "name: ");
        check(r#"{"name":"Dev"}"#, "name: ");
        check(r#"{"name":"kube-system"}"#, "name: ");
        check(r#"{"name":"dev","labels":{"openfaas":"0"}}"#, "labels: ");
        check(r#"{"name":"dev","labels":{"openfaas":null}}"#, "labels: ");
        check(r#"{"name":"dev","annotations":{"openfaas":"true"}}"#, "annotations: ");
        check(r#"{"name":"dev","labels":{"a b":""}}"#, "labels: ");
    }

    #[test]
    fn a_removal_is_refused_for_what_contradicts_it() {
        let check = |json: &str, fine: bool| {
            let wire: FunctionNamespace = serde_json::from_str(json).unwrap();
            assert_eq!(wire.check_removal(&Namespace::parse("dev").unwrap()).is_ok(), fine, "{json}");
        };
        check("{}", true);
        check(r#"{"name":"dev"}"#, true);
        check(r#"{"name":"dev","labels":{"openfaas":"1","team":"a"}}"#, true);
        check(r#"{"name":"prod"}"#, false);
        check(r#"{"name":"dev","labels":{"openfaas":"2"}}"#, false);
    }
}
