
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c112crm.schema.field_added ÇÑ‘õµóˆ2
name
Colour2
entity	
contact2
type

dropdown2
description
Of the door2 
allowed_valuesR
Red
Green:ž
$b72effae-f13c-64bf-6f4f-e176698a7d562 ÀÑ‘õµóˆ(ÀÑ‘õµóˆ:
allowed_values2:
description2:

entity2:
name2:
type2Z4
contactdropdownColour"Of the door*Red*GreenŠ
allowed_valuesconsoleŠ
descriptionconsoleŠ
entityconsoleŠ
nameerpŠ
typeconsoleBconsoleRop-9Zbatch-3