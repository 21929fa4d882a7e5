
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11crm.contact.welcome_requested ¤­´ÏŸ˜(:ô
$019aba10-7c40-7000-8000-000000000003 ÀÏü–ÏŸ˜(€â‡´ÏŸ˜2
tryton172
	shop "EU"Ã¼/1:
address:
background_info:
	companies:	
email:

first_name:

home_email:

home_phone:
	last_name:
name_prefix:	
phone:
role:

shop_phone:
tags:	
title:
website:

work_email:

work_phoneB£DrAnn"O'Leary-Åuczak*Head of "Sales"2ann.oleary@example.org:ann@home.exampleBann@work.exampleJ+31 20 1234567R+31 20 1Z+31 20 2b+31 20 3jhttp://ann.exampler</script> ğŸ‘©â€ğŸ’»znewszvip‚	Amsterdam21011 ABŠ<
$019aba10-7c40-7000-8000-000000000001Acme & SÃ¶hne "GmbH"Btryton