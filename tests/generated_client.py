"""Uses a client of the API that openapi-python-client generated.

    python generated_client.py BASE_URL PUBLIC_ID SECRET_KEY

The package `secure_api` is on the path. Creates, reads, changes and lists a contact, a company and a project, and prints
their identifiers as JSON. Every value has the type that the generated code declares, or this fails.
"""

import datetime
import json
import sys
import uuid

from secure_api import AuthenticatedClient
from secure_api.api.company import create_company, list_companies, read_company, update_company
from secure_api.api.contact import create_contact, list_contacts, read_contact, read_contact_meta, update_contact
from secure_api.api.project import create_project, list_projects, read_project, update_project
from secure_api.models import (
    Address,
    AddressInput,
    CategoryInput,
    CircleChanges,
    Company,
    CompanyCreate,
    CompanyLink,
    CompanyUpdate,
    Contact,
    ContactCreate,
    ContactUpdate,
    Money,
    PrimaryContactInput,
    Problem,
    Project,
    ProjectCreate,
    ProjectIdentifierType,
    ProjectUpdate,
    Role,
)


def contacts(client: AuthenticatedClient) -> Contact:
    body = ContactCreate(
        role=Role.LEAD,
        first_name="Zoë",
        last_name="Lee",
        email="zoe@example.org",
        tags=["red", "blue"],
        address=AddressInput(city="Ulm", zip_="89073"),
        company=CompanyLink(name="Acme & Co", create_company_if_not_exists=True),
        circles=CircleChanges(add=["VIP"]),
        send_welcome_email=True,
    )
    created = create_contact.sync(client=client, body=body, idempotency_key="generated-1").data
    assert isinstance(created, Contact) and isinstance(created.address, Address), created
    assert created.role is Role.LEAD and created.tags == ["blue", "red"], created
    assert isinstance(created.uid, uuid.UUID) and isinstance(created.created, datetime.datetime), created
    assert [company.name for company in created.companies] == ["Acme & Co"], created
    assert [circle.name for circle in created.circles] == ["VIP"], created

    changed = update_contact.sync("zoe@example.org", client=client, body=ContactUpdate(title="Dr", phone=None)).data
    assert (changed.uid, changed.title, changed.phone) == (created.uid, "Dr", None), changed
    assert read_contact.sync(str(created.uid), client=client).data == changed
    page = list_contacts.sync(client=client, order_by="-name", role=Role.LEAD)
    assert page.data == [changed] and page.meta.pagination.total_items == 1, page
    refused = create_contact.sync(client=client, body=body)
    assert isinstance(refused, Problem) and refused.status == 422 and "already exists" in refused.message, refused
    assert [error.pointer for error in refused.errors] == ["#/email"], refused
    attributes = read_contact_meta.sync(client=client)
    assert attributes["email"].required is True and attributes["role"].allowed_values[0] == "Lead", attributes
    return changed


def companies(client: AuthenticatedClient) -> Company:
    first = PrimaryContactInput(email="zoe@example.org")
    body = CompanyCreate(name="Blue", category=CategoryInput(name="Wholesale"), primary_contact=first)
    created = create_company.sync(client=client, body=body).data
    assert isinstance(created, Company) and created.role is None, created
    assert created.category.name == "Wholesale" and created.primary_contact.email == "zoe@example.org", created
    changed = update_company.sync("blue", client=client, body=CompanyUpdate(website="https://blue.example")).data
    assert read_company.sync("Blue", client=client).data == changed and changed.website == "https://blue.example"
    page = list_companies.sync(client=client, order_by="name", limit=1)
    assert [company.name for company in page.data] == ["Acme & Co"] and page.meta.pagination.next_page, page
    return changed


def projects(client: AuthenticatedClient, company: Company) -> Project:
    value = Money(amount=12500.5, currency="EUR")
    body = ProjectCreate(name="Roof", estimated_value=value, client=company.uid, start_date=datetime.date(2026, 11, 30))
    created = create_project.sync(client=client, body=body).data
    assert isinstance(created, Project) and created.estimated_value == value, created
    assert (created.client, created.start_date) == (company.uid, datetime.date(2026, 11, 30)), created
    name = ProjectIdentifierType.NAME
    changed = update_project.sync(name, "Roof", client=client, body=ProjectUpdate(status="Done", due_time=None)).data
    assert read_project.sync(ProjectIdentifierType.UID, str(created.uid), client=client).data == changed
    assert [project.status for project in list_projects.sync(client=client).data] == ["Done"]
    return changed


def main(base_url: str, public_id: str, secret_key: str) -> None:
    keys = {"headers": {"X-Public-ID": public_id}, "auth_header_name": "X-Secret-Key", "prefix": "", "token": secret_key}
    with AuthenticatedClient(base_url=base_url, raise_on_unexpected_status=True, **keys) as client:
        contact, company = contacts(client), companies(client)
        project = projects(client, company)
    print(json.dumps({"contact": str(contact.uid), "company": str(company.uid), "project": str(project.uid)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
