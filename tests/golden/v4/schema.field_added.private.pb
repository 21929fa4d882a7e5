
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c112crm.schema.field_added ÇÑ‘õµóˆ2
name
Colour2
entity	
company2
type

dropdown2
description
Of the door2 
allowed_valuesR
Red
Green2

visibility	
private:Ï
$b72effae-f13c-64bf-6f4f-e176698a7d562 ÀÑ‘õµóˆ(ÀÑ‘õµóˆ:
allowed_values2:
description2:

entity2:
name2:
type2:

visibility2Z=
companydropdownColour"Of the door*Red*Green2privateŠ
allowed_valuesconsoleŠ
descriptionconsoleŠ
entityconsoleŠ
nameerpŠ
typeconsoleŠ

visibilityconsoleBconsoleRop-9Zbatch-3