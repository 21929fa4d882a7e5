//! The attributes of projects, custom fields, audiences, notes and the health of push endpoints.

use super::{custom, generated, read_custom, set_fields, text, words};
use crate::contract::generated::value::Kind as Typed;
use crate::contract::proto::value;
use crate::domain::{Field, Number, Record, Value};

pub(super) fn write_project(record: &Record) -> generated::Project {
    let text = |field| text(record, field);
    generated::Project {
        name: text(Field::Name),
        status: text(Field::Status),
        start_date: text(Field::StartDate),
        end_date: text(Field::EndDate),
        due_time: text(Field::DueTime),
        info_description: text(Field::InfoDescription),
        info_title_client: text(Field::InfoTitleClient),
        info_description_client: text(Field::InfoDescriptionClient),
        business_sector: text(Field::BusinessSector),
        estimated_value: match record.fields.get(&Field::EstimatedValue) {
            Some(Value::Money(money)) => Some(value::write_money(money)),
            _ => None,
        },
        client: text(Field::Client),
        team: words(record, Field::Team),
        project_custom_fields: custom(record, Field::ProjectCustomFields),
    }
}

pub(super) fn project_fields(project: generated::Project) -> Vec<(Field, Typed)> {
    set_fields([
        (Field::Name, project.name.map(Typed::Text)),
        (Field::Status, project.status.map(Typed::Text)),
        (Field::StartDate, project.start_date.map(Typed::Text)),
        (Field::EndDate, project.end_date.map(Typed::Text)),
        (Field::DueTime, project.due_time.map(Typed::Text)),
        (Field::InfoDescription, project.info_description.map(Typed::Text)),
        (Field::InfoTitleClient, project.info_title_client.map(Typed::Text)),
        (Field::InfoDescriptionClient, project.info_description_client.map(Typed::Text)),
        (Field::BusinessSector, project.business_sector.map(Typed::Text)),
        (Field::EstimatedValue, project.estimated_value.map(Typed::Money)),
        (Field::Client, project.client.map(Typed::Text)),
        (Field::Team, Some(Typed::Words(generated::Words { words: project.team }))),
        (Field::ProjectCustomFields, Some(read_custom(project.project_custom_fields))),
    ])
}

pub(super) fn write_custom_field(record: &Record) -> generated::CustomField {
    generated::CustomField {
        entity: text(record, Field::Owner),
        r#type: text(record, Field::Type),
        name: text(record, Field::Name),
        description: text(record, Field::Description),
        allowed_values: words(record, Field::AllowedValues),
        visibility: text(record, Field::Visibility),
    }
}

pub(super) fn custom_field_fields(field: generated::CustomField) -> Vec<(Field, Typed)> {
    set_fields([
        (Field::Owner, field.entity.map(Typed::Text)),
        (Field::Type, field.r#type.map(Typed::Text)),
        (Field::Name, field.name.map(Typed::Text)),
        (Field::Description, field.description.map(Typed::Text)),
        (Field::AllowedValues, Some(Typed::Words(generated::Words { words: field.allowed_values }))),
        (Field::Visibility, field.visibility.map(Typed::Text)),
    ])
}

pub(super) fn write_audience(record: &Record) -> generated::Audience {
    generated::Audience { id: record.number(Field::Id).map(Number::get), name: text(record, Field::Name) }
}

pub(super) fn audience_fields(audience: generated::Audience) -> Vec<(Field, Typed)> {
    set_fields([(Field::Id, audience.id.map(Typed::Number)), (Field::Name, audience.name.map(Typed::Text))])
}

pub(super) fn write_note(record: &Record) -> generated::Note {
    generated::Note {
        contact: text(record, Field::Contact),
        title: text(record, Field::Title),
        note: text(record, Field::Note),
        date: text(record, Field::Date),
    }
}

pub(super) fn note_fields(note: generated::Note) -> Vec<(Field, Typed)> {
    set_fields([
        (Field::Contact, note.contact.map(Typed::Text)),
        (Field::Title, note.title.map(Typed::Text)),
        (Field::Note, note.note.map(Typed::Text)),
        (Field::Date, note.date.map(Typed::Text)),
    ])
}

pub(super) fn write_push(record: &Record) -> generated::Push {
    generated::Push {
        status: text(record, Field::Status),
        description: text(record, Field::Description),
        failing_since: text(record, Field::FailingSince),
    }
}

pub(super) fn push_fields(push: generated::Push) -> Vec<(Field, Typed)> {
    set_fields([
        (Field::Status, push.status.map(Typed::Text)),
        (Field::Description, push.description.map(Typed::Text)),
        (Field::FailingSince, push.failing_since.map(Typed::Text)),
    ])
}

pub(super) fn write_conflict(record: &Record) -> generated::Conflict {
    let text = |field| text(record, field);
    let held = |field| match record.fields.get(&field) {
        Some(Value::OfField(held)) => Some(value::write_field_value(held)),
        _ => None,
    };
    generated::Conflict {
        entity: text(Field::RecordKind),
        record: text(Field::RecordUid),
        field: text(Field::AttributeName),
        reason: text(Field::Reason),
        policy: text(Field::Policy),
        status: text(Field::Status),
        base: record.number(Field::Base).map(Number::get),
        seq: record.number(Field::Position).map(Number::get),
        kept: held(Field::Kept),
        kept_origin: text(Field::KeptOrigin),
        lost: held(Field::Lost),
        lost_origin: text(Field::LostOrigin),
        resolution: text(Field::Resolution),
    }
}

pub(super) fn conflict_fields(conflict: generated::Conflict) -> Vec<(Field, Typed)> {
    let held = |held: Option<generated::FieldValue>| held.map(|held| Typed::FieldValue(Box::new(held)));
    set_fields([
        (Field::RecordKind, conflict.entity.map(Typed::Text)),
        (Field::RecordUid, conflict.record.map(Typed::Text)),
        (Field::AttributeName, conflict.field.map(Typed::Text)),
        (Field::Reason, conflict.reason.map(Typed::Text)),
        (Field::Policy, conflict.policy.map(Typed::Text)),
        (Field::Status, conflict.status.map(Typed::Text)),
        (Field::Base, conflict.base.map(Typed::Number)),
        (Field::Position, conflict.seq.map(Typed::Number)),
        (Field::Kept, held(conflict.kept)),
        (Field::KeptOrigin, conflict.kept_origin.map(Typed::Text)),
        (Field::Lost, held(conflict.lost)),
        (Field::LostOrigin, conflict.lost_origin.map(Typed::Text)),
        (Field::Resolution, conflict.resolution.map(Typed::Text)),
    ])
}
