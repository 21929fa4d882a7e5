// Uses the types that openapi-typescript generated. It is compiled and not run: a type that is unknown, or that lost a member,
// is an error.
import type { components, operations, paths } from "./api.js";

type Schemas = components["schemas"];

const address: Schemas["AddressInput"] = { city: "Ulm", zip: null };
export const create: Schemas["ContactCreate"] = {
  role: "Lead",
  first_name: "Ann",
  last_name: "Lee",
  email: "ann@example.org",
  tags: ["red"],
  address,
  company: { name: "Acme", create_company_if_not_exists: true },
  circles: { add: ["VIP"] },
  notes: [{ title: "Call", date: "2026-11-30" }],
};
// @ts-expect-error a role is one of three
export const boss: Schemas["Role"] = "Boss";

export const value: Schemas["Money"] = { amount: 12500.5, currency: "EUR" };
export const project: Schemas["ProjectCreate"] = { name: "Roof", estimated_value: value };

export function show(contact: Schemas["Contact"], company: Schemas["Company"]): string {
  const names: string[] = contact.companies.map((link) => link.name);
  const city: string | null = contact.address.city;
  const role: Schemas["Role"] | null = company.role;
  const version: number = contact.version;
  return [contact.first_name, city ?? "", role ?? "", version, ...names].join(" ");
}

type Created = operations["createContact"]["responses"][201]["content"]["application/json"];
type Listed = paths["/contacts"]["get"]["responses"][200]["content"]["application/json"];

export function uid(created: Created): string {
  return created.data.uid;
}

export function next(listed: Listed): string | null {
  return listed.meta.pagination.nextPage;
}
