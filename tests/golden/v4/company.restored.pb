
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11crm.company.restored ïé°‹ĞŸ˜(:ƒ
$019aba10-7c40-7000-8000-000000000001 ÀªæÜÎŸ˜(À™©‹ĞŸ˜:
address:
background_info:
category:
custom_fields:

home_phone:
name:	
phone:
primaryContact:
role:

shop_phone:
tags:
website:

work_phoneJĞAcme AGJ+49 30 901820R1Z2b3jhttps://acme.exampler&Line one.
Line two.	Tabbed \ â€¨ ğŸ­’,
$019aba10-7c40-7000-8000-000000000002*Dr0ª1
$7d201b35-473c-64bf-6ef0-9ffec9eee0b0	9š™™™™™¹?º	WholesaleŠ
address	warehouseŠ
background_info	warehouseŠ
category	warehouseŠ
custom_fields	warehouseŠ

home_phone	warehouseŠ
name	warehouseŠ
phone	warehouseŠ
primaryContact	warehouseŠ
roleerpŠ

shop_phone	warehouseŠ
tags	warehouseŠ
website	warehouseŠ

work_phone	warehouseB	warehouseRop-9Zbatch-3