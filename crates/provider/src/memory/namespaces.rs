//! Namespaces and the secrets in them.

use std::collections::BTreeMap;

use model::{FunctionSpec, Namespace, NamespaceSpec, SecretId, SecretName, SecretValue};

use crate::ProviderError;

pub(super) struct Namespaces {
    default: Namespace,
    specs: BTreeMap<Namespace, NamespaceSpec>,
    secrets: BTreeMap<SecretId, SecretValue>,
}

impl Namespaces {
    pub fn new(default: Namespace) -> Self {
        let specs = BTreeMap::from([(default.clone(), NamespaceSpec::marked(default.clone()))]);
        Self { default, specs, secrets: BTreeMap::new() }
    }

    /// The default one first.
    pub fn names(&self) -> Vec<Namespace> {
        let others = self.specs.keys().filter(|name| **name != self.default);
        std::iter::once(&self.default).chain(others).cloned().collect()
    }

    /// Fails when functions and secrets cannot live there.
    pub fn check(&self, name: &Namespace) -> Result<(), ProviderError> {
        if self.specs.contains_key(name) {
            return Ok(());
        }
        Err(ProviderError::Invalid(format!("namespace {name} does not exist; create it first")))
    }

    pub fn get(&self, name: &Namespace) -> Result<NamespaceSpec, ProviderError> {
        self.specs.get(name).cloned().ok_or_else(|| missing(name))
    }

    pub fn create(&mut self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        if self.specs.contains_key(&spec.name) {
            return Err(ProviderError::AlreadyExists { kind: "namespace", name: spec.name.to_string() });
        }
        self.specs.insert(spec.name.clone(), spec);
        Ok(())
    }

    pub fn update(&mut self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        let known = self.specs.get_mut(&spec.name).ok_or_else(|| missing(&spec.name))?;
        *known = spec;
        Ok(())
    }

    pub fn delete(&mut self, name: &Namespace, functions: usize) -> Result<(), ProviderError> {
        self.get(name)?;
        let secrets = self.secrets.keys().filter(|id| id.namespace == *name).count();
        if *name == self.default {
            return Err(ProviderError::Invalid(format!("namespace {name} is the default one and stays")));
        }
        if functions + secrets > 0 {
            return Err(ProviderError::Invalid(format!(
                "namespace {name} holds {functions} functions and {secrets} secrets; remove them first"
            )));
        }
        self.specs.remove(name);
        Ok(())
    }

    pub fn secret(&self, id: &SecretId) -> Result<&SecretValue, ProviderError> {
        self.secrets.get(id).ok_or_else(|| no_secret(id))
    }

    pub fn secrets(&self, namespace: &Namespace) -> Result<Vec<SecretName>, ProviderError> {
        self.check(namespace)?;
        let inside = self.secrets.keys().filter(|id| id.namespace == *namespace);
        Ok(inside.map(|id| id.name.clone()).collect())
    }

    pub fn create_secret(&mut self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.check(&id.namespace)?;
        if self.secrets.contains_key(&id) {
            return Err(ProviderError::AlreadyExists { kind: "secret", name: id.to_string() });
        }
        self.secrets.insert(id, value);
        Ok(())
    }

    pub fn update_secret(&mut self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.check(&id.namespace)?;
        *self.secrets.get_mut(&id).ok_or_else(|| no_secret(&id))? = value;
        Ok(())
    }

    pub fn delete_secret(&mut self, id: &SecretId) -> Result<(), ProviderError> {
        self.check(&id.namespace)?;
        self.secrets.remove(id).map(drop).ok_or_else(|| no_secret(id))
    }

    /// Fails when the spec asks for what is not there.
    pub fn can_hold(&self, spec: &FunctionSpec) -> Result<(), ProviderError> {
        let namespace = &spec.id.namespace;
        self.check(namespace)?;
        let is_there = |name: &str| {
            SecretName::parse(name)
                .is_ok_and(|name| self.secrets.contains_key(&SecretId::new(name, namespace.clone())))
        };
        match spec.secrets.iter().find(|name| !is_there(name)) {
            Some(name) => Err(ProviderError::Invalid(format!(
                "secret {name} of namespace {namespace} is not found; create it first"
            ))),
            None => Ok(()),
        }
    }
}

fn missing(name: &Namespace) -> ProviderError {
    ProviderError::NotFound { kind: "namespace", name: name.to_string() }
}

fn no_secret(id: &SecretId) -> ProviderError {
    ProviderError::NotFound { kind: "secret", name: id.to_string() }
}
