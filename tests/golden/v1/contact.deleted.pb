
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11crm.contact.deleted ˆş»¨ĞŸ˜(:‡
$019aba10-7c40-7000-8000-000000000003 ÀÏü–ÏŸ˜(€¬´¨ĞŸ˜2
tryton172
	shop "EU"Ã¼/1:
address:
background_info:
	companies:	
email:

first_name:

home_email:

home_phone:
	last_name:
name_prefix:	
phone:
role:

shop_phone:
tags:	
title:
website:

work_email:

work_phoneB´Ann"O'Leary-Åuczak2ann.oleary@example.org:ann@home.exampleBa.oleary@work.exampleJ+31 6 7654321R+31 20 1Z+31 20 2b+31 20 3jhttp://ann.exampler</script> ğŸ‘©â€ğŸ’»zvip‚Utrecht*NLŠ<
$019aba10-7c40-7000-8000-000000000001Acme & SÃ¶hne "GmbH"Š,
$019aba10-7c40-7000-8000-000000000005BetaBconsoleJ700-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01