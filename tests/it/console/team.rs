//! Team: invitations, roles, and the last Super Admin.

use unificus::domain::user::UserRole;

use super::support::{Console, PASSWORD};

#[tokio::test]
async fn an_invited_member_chooses_a_password_by_a_link_that_works_once() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/team").await;
    let page = web.post("/console/team/invite", &[("email", "Bob@Example.org"), ("role", "member")]).await;
    let link = page.between("/console/link/", "<").to_owned();
    let again = web.post("/console/team/invite", &[("email", "bob@example.org"), ("role", "member")]).await;
    assert!(again.expect(422).text.contains("Someone with this email address is in the team."));

    let bob = console.visitor();
    let path = format!("/console/link/{link}");
    assert!(bob.get(&path).await.expect(200).text.contains("bob@example.org"));
    let short = bob.post(&path, &[("password", "short")]).await;
    assert!(short.expect(422).text.contains("Use at least 10 characters."));
    bob.post(&path, &[("password", PASSWORD)]).await.expect(303);
    bob.get("/console/profile").await.expect(200);
    bob.get("/console/team").await.expect(404);
    let other = console.visitor();
    other.get("/console/sign-in").await;
    other.get(&path).await.expect(422);
    other.post(&path, &[("password", "another password")]).await.expect(422);
    console.signed_in("bob@example.org").await;
}

#[tokio::test]
async fn the_last_super_admin_can_neither_be_removed_nor_disabled_nor_made_smaller() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    let user = console.service.store.users(console.account()).await.unwrap()[0].user_id;
    for (action, fields) in [("role", [("role", "admin")].as_slice()), ("disable", &[]), ("remove", &[])] {
        web.post(&format!("/console/team/{user}/{action}"), fields).await.expect(303);
        let page = web.get("/console/team").await;
        assert!(page.expect(200).text.contains("The account must keep one Super Admin"), "{action}: {}", page.text);
    }
    console.add_user(console.account(), "bob@example.org", UserRole::SuperAdmin).await;
    web.post(&format!("/console/team/{user}/role"), &[("role", "admin")]).await.expect(303);
    web.get("/console/team").await.expect(404);
    web.get("/console/audit").await.expect(200);
}
