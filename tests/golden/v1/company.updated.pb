
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11crm.company.updated ïé°‹ĞŸ˜(2)
name
Acme & SÃ¶hne "GmbH"	
Acme AG2E
website"
 https://acme.example/Ã¼ber?a=1#b
https://acme.example2
tags
alpha
zulu
Ã„rzte2>
address3"1
HauptstraÃŸe 12. StockBerlin"BE*DE210115:ã
$019aba10-7c40-7000-8000-000000000001 ÀªæÜÎŸ˜(À™©‹ĞŸ˜:
address:
background_info:

home_phone:
name:	
phone:
primaryContact:
role:

shop_phone:
tags:
website:

work_phoneJŠAcme AGJ+49 30 901820R1Z2b3jhttps://acme.exampler&Line one.
Line two.	Tabbed \ â€¨ ğŸ­’&
$019aba10-7c40-7000-8000-000000000002B	warehouse