//! Who may use which route: every route of the table is asked as everybody.

use hyper::Method;
use unificus::clock::Clock;
use unificus::console::{Access, RouteInfo, table};
use unificus::domain::user::UserRole;
use unificus::store::audit::By;

use super::support::{Console, Web};

/// The paths with a value for each parameter that names nothing.
fn path(route: &RouteInfo) -> String {
    let named = |part: &str| {
        if part.starts_with('{') { "0190a1b2-0000-7000-8000-000000000000".to_owned() } else { part.to_owned() }
    };
    route.path.split('/').map(named).collect::<Vec<_>>().join("/")
}

/// Asks a route, and checks that it is refused or not. A form without its token shows which check came first: 404 is the
/// role's, 403 the token's.
async fn ask(web: &Web, route: &RouteInfo, who: &str, is_permitted: bool) {
    let (status, location) = web.status(route.method.clone(), &path(route)).await;
    let label = format!("{} {} as {who}", route.method, route.path);
    match (&route.method, is_permitted) {
        (_, false) => assert_eq!(status, 404, "{label}"),
        (method, true) if *method == Method::POST => assert_eq!(status, 403, "{label}: a form without its token"),
        (_, true) => {
            assert!(!location.starts_with("/console/sign-in"), "{label}");
            assert!(status == 200 || status == 303 || route.path.contains('{'), "{label}: {status}");
        }
    }
}

#[tokio::test]
async fn every_route_is_open_to_its_roles_and_to_no_other() {
    let console = Console::start().await;
    let nobody = console.visitor();
    let [member, admin, super_admin] = [
        console.as_role(UserRole::Member).await,
        console.as_role(UserRole::Admin).await,
        console.as_role(UserRole::SuperAdmin).await,
    ];
    let by = By::new("test", Clock::system().now());
    for limited in [false, true] {
        console.service.store.limit_secure_api(console.account(), limited, by).await.unwrap();
        for route in table() {
            let (status, location) = nobody.status(route.method.clone(), &path(&route)).await;
            let label = format!("{} {} as nobody: {status} {location}", route.method, route.path);
            match route.access {
                Access::Public if route.method == Method::POST => assert_eq!(status, 403, "{label}"),
                Access::Public => assert!(!location.starts_with("/console/sign-in"), "{label}"),
                Access::Member | Access::Admin | Access::SecureApi | Access::SuperAdmin => {
                    assert!(status == 303 && location.starts_with("/console/sign-in"), "{label}");
                }
            }
            let least = match route.access {
                // The way out is open to everybody, with the token of a form.
                Access::Public => continue,
                Access::Member => UserRole::Member,
                Access::Admin => UserRole::Admin,
                Access::SecureApi => {
                    if limited {
                        UserRole::SuperAdmin
                    } else {
                        UserRole::Admin
                    }
                }
                Access::SuperAdmin => UserRole::SuperAdmin,
            };
            for (role, web) in
                [(UserRole::Member, &member), (UserRole::Admin, &admin), (UserRole::SuperAdmin, &super_admin)]
            {
                ask(web, &route, role.name(), role >= least).await;
            }
        }
    }
}

#[tokio::test]
async fn a_limited_secure_api_is_hidden_from_admins_in_the_menu_and_by_its_address() {
    let console = Console::start().await;
    let (admin, super_admin) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::SuperAdmin).await);
    let is_listed = |text: &str| text.contains("href=\"/console/integrations/secure-api\"");
    assert!(is_listed(&admin.get("/console/integrations/secure-api").await.expect(200).text));

    let branding = super_admin.get("/console/branding").await;
    assert!(branding.text.contains("Limit Secure API to Super Admins"));
    super_admin.post("/console/branding/visibility", &[("limit_secure_api", "on")]).await.expect(303);

    admin.get("/console/integrations/secure-api").await.expect(404);
    let (status, location) = admin.status(Method::GET, "/console/integrations").await;
    assert_eq!((status, &*location), (303, "/console/integrations/push"));
    assert!(!is_listed(&admin.get("/console/audit").await.expect(200).text));
    super_admin.get("/console/integrations/secure-api").await.expect(200);

    super_admin.post("/console/branding/visibility", &[]).await.expect(303);
    admin.get("/console/integrations/secure-api").await.expect(200);
    assert!(console.audited().await.contains(&("super_admin@example.org".into(), "account.limit_secure_api".into())));
}

#[tokio::test]
async fn nothing_of_another_account_is_shown_or_changed() {
    let console = Console::start().await;
    let owner = console.as_role(UserRole::SuperAdmin).await;
    let stranger = console.as_stranger().await;
    let store = &console.service.store;
    let key = store.keys(console.account()).await.unwrap()[0].key_id;
    let user = store.users(console.account()).await.unwrap()[0].user_id;

    stranger.post(&format!("/console/integrations/secure-api/keys/{key}/reveal"), &[]).await.expect(404);
    stranger.post(&format!("/console/integrations/secure-api/keys/{key}/delete"), &[]).await.expect(303);
    for action in ["role", "link", "disable", "remove", "remove-totp"] {
        stranger.post(&format!("/console/team/{user}/{action}"), &[("role", "member")]).await.expect(404);
    }
    for path in ["team", "audit", "profile", "integrations/secure-api", "branding", "audit/export"] {
        let text = stranger.get(&format!("/console/{path}")).await.text;
        let account = console.account().to_string();
        assert!(!text.contains("super_admin@example.org") && !text.contains(&account), "{path}");
    }
    assert_eq!(store.keys(console.account()).await.unwrap().len(), 1);
    owner.get("/console/team").await.expect(200);
}
