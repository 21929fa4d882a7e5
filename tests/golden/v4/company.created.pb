
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11crm.company.created ÙğíÜÎŸ˜2

role2
name
Acme & SÃ¶hne "GmbH"2
phone
+49 30 9018202

home_phone
12

work_phone
22

shop_phone
32-
website"
 https://acme.example/Ã¼ber?a=1#b2;
background_info(
&Line one.
Line two.	Tabbed \ â€¨ ğŸ­2
tags
alpha
zulu
Ã„rzte2>
address3"1
HauptstraÃŸe 12. StockBerlin"BE*DE2101152@
primaryContact.2,
$019aba10-7c40-7000-8000-000000000002*Dr02
category
	Wholesale2F
custom_fields5b3
1
$7d201b35-473c-64bf-6ef0-9ffec9eee0b0	9š™™™™™¹?:Í
$019aba10-7c40-7000-8000-000000000001 ÀªæÜÎŸ˜(ÀªæÜÎŸ˜:
address:
background_info:
category:
custom_fields:

home_phone:
name:	
phone:
primaryContact:
role:

shop_phone:
tags:
website:

work_phoneJ²Acme & SÃ¶hne "GmbH"J+49 30 901820R1Z2b3j https://acme.example/Ã¼ber?a=1#br&Line one.
Line two.	Tabbed \ â€¨ ğŸ­zalphazzuluzÃ„rzte‚1
HauptstraÃŸe 12. StockBerlin"BE*DE210115’,
$019aba10-7c40-7000-8000-000000000002*Dr0ª1
$7d201b35-473c-64bf-6ef0-9ffec9eee0b0	9š™™™™™¹?º	WholesaleŠ
addressconsoleŠ
background_infoconsoleŠ
categoryconsoleŠ
custom_fieldsconsoleŠ

home_phoneconsoleŠ
nameconsoleŠ
phoneconsoleŠ
primaryContactconsoleŠ
roleerpŠ

shop_phoneconsoleŠ
tagsconsoleŠ
websiteconsoleŠ

work_phoneconsoleBconsoleJ700-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01Rop-9Zbatch-3