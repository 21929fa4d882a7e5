
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11crm.contact.created ‹™„—ÏŸ˜2

role2
name_prefix
Dr2

first_name
Ann2
	last_name
O'Leary-Åuczak2
title
Head of "Sales"2!
email
ann.oleary@example.org2 

home_email
ann@home.example2 

work_email
ann@work.example2
phone
+31 20 12345672

home_phone

+31 20 12

work_phone

+31 20 22

shop_phone

+31 20 32
website
http://ann.example2*
background_info
</script> ğŸ‘©â€ğŸ’»2
tags
news
vip2!
address"	Amsterdam21011 AB2M
	companies@*>
<
$019aba10-7c40-7000-8000-000000000001Acme & SÃ¶hne "GmbH":ô
$019aba10-7c40-7000-8000-000000000003 ÀÏü–ÏŸ˜(ÀÏü–ÏŸ˜2
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