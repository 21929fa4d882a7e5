//! The commands of custom fields and their decisions.

use super::{Definition, FieldType};
use crate::domain::decision::{Decision, Reads, View, find, refuse_taken};
use crate::domain::record::custom_field_key;
use crate::domain::{
    Entity, EventType, Field, FieldOwner, Invalid, NewEvent, Patch, Refusal, Seq, Target, Uid, ValidationErrors, Value,
};

/// Defines a custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    uid: Uid,
    patch: Patch,
}

/// Changes the label, description, allowed values or visibility of a custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeField {
    pub target: Target,
    /// The versions of which one must be the current one (`If-Match`); `None` accepts any.
    pub if_match: Option<Vec<Seq>>,
    pub patch: Patch,
}

impl Add {
    /// Returns the command, or an error for each missing or invalid part of the definition.
    pub fn new(uid: Uid, patch: Patch) -> Result<Self, ValidationErrors> {
        let absent = |field: &Field| !matches!(patch.get(field), Some(Some(_)));
        let mut errors: ValidationErrors = [Field::Owner, Field::Type, Field::Name]
            .into_iter()
            .filter(absent)
            .map(|field| Invalid::new(field.name(), "Is required."))
            .collect();
        if let Some(Some(kind)) = patch.get(&Field::Type) {
            let kind = kind.as_text().and_then(FieldType::parse);
            let values = matches!(patch.get(&Field::AllowedValues), Some(Some(_)));
            errors.extend(kind.and_then(|kind| wrong_values(kind, values)));
            errors.extend(too_many_bytes(&patch));
        }
        let owner = patch.get(&Field::Owner).and_then(Option::as_ref).and_then(Value::as_text);
        errors.extend(owner.and_then(FieldOwner::parse).and_then(|owner| wrong_visibility(owner, &patch)));
        errors.into_result(Self { uid, patch })
    }

    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.keys.extend(self.key().map(|key| (Entity::CustomField, key)));
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        refuse_taken(view, Entity::CustomField, self.uid, self.key().as_deref())?;
        let new_event = NewEvent::of_new(Entity::CustomField, self.uid, EventType::FieldAdded, self.patch);
        Ok(Decision::new((Entity::CustomField, self.uid), vec![new_event]))
    }

    fn key(&self) -> Option<String> {
        let text = |field| self.patch.get(&field)?.as_ref()?.as_text();
        Some(custom_field_key(text(Field::Owner)?, text(Field::Name)?))
    }
}

impl ChangeField {
    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.target(Entity::CustomField, &self.target);
        // The owner is known only when the definition is loaded, so the label is looked up for each owner.
        if let Some(label) = self.label() {
            let owners = FieldOwner::ALL;
            let keys = owners.map(|owner| (Entity::CustomField, custom_field_key(owner.name(), label)));
            reads.keys.extend(keys);
        }
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find(view, Entity::CustomField, &self.target, self.if_match.as_deref())?;
        let definition = Definition::of(record).ok_or(Refusal::NotFound(Entity::CustomField))?;
        let key = self.label().map(|label| custom_field_key(definition.owner.name(), label));
        refuse_taken(view, Entity::CustomField, record.uid, key.as_deref())?;
        let values = match self.patch.get(&Field::AllowedValues) {
            Some(values) => values.is_some(),
            None => !definition.allowed_values.is_empty(),
        };
        let uid = record.uid;
        // Values that the field has already may be sent back, even when they exceed the limit.
        let is_same =
            record.fields.get(&Field::AllowedValues) == self.patch.get(&Field::AllowedValues).and_then(Option::as_ref);
        let too_many = if is_same { None } else { too_many_bytes(&self.patch) };
        let wrong_visibility = wrong_visibility(definition.owner, &self.patch);
        let changes = record.differences(self.patch);
        let fixed = changes.iter().filter(|(field, _)| matches!(field, Field::Owner | Field::Type));
        let mut errors: ValidationErrors =
            fixed.map(|(field, _)| Invalid::new(field.name(), "Cannot be changed: add another field.")).collect();
        errors.extend(wrong_values(definition.kind, values));
        errors.extend(wrong_visibility);
        errors.extend(too_many);
        errors.into_result(())?;
        Ok(Decision::of_update(NewEvent::new(Entity::CustomField, uid, EventType::FieldChanged, changes)))
    }

    fn label(&self) -> Option<&str> {
        self.patch.get(&Field::Name)?.as_ref().and_then(Value::as_text)
    }
}

/// The most bytes of one field's allowed values. A write of five hundred custom values loads five hundred definitions while
/// its account is locked.
const MAX_ALLOWED_BYTES: usize = 16 << 10;

fn too_many_bytes(patch: &Patch) -> Option<Invalid> {
    let Some(Some(Value::Words(values))) = patch.get(&Field::AllowedValues) else { return None };
    let bytes: usize = values.iter().map(String::len).sum();
    let detail = || format!("Must have at most {} KiB in all.", MAX_ALLOWED_BYTES >> 10);
    (bytes > MAX_ALLOWED_BYTES).then(|| Invalid::new(Field::AllowedValues.name(), detail()))
}

/// An error where a field is private whose records show all values in one group.
fn wrong_visibility(owner: FieldOwner, patch: &Patch) -> Option<Invalid> {
    let is_private = patch.get(&Field::Visibility).is_some_and(Option::is_some);
    let detail = "Is for fields of companies only: other records show all values together.";
    (is_private && owner != FieldOwner::Company).then(|| Invalid::new(Field::Visibility.name(), detail))
}

/// An error where a choice has no allowed values or another type has some.
fn wrong_values(kind: FieldType, has_values: bool) -> Option<Invalid> {
    let detail = match (kind.is_choice(), has_values) {
        (true, false) => "Is required for a dropdown or multi-select.",
        (false, true) => "Is for a dropdown or multi-select only.",
        (true, true) | (false, false) => return None,
    };
    Some(Invalid::new(Field::AllowedValues.name(), detail))
}
