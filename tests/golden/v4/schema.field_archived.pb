
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c114crm.schema.field_archived ‡ßÈöµóˆ(3: 
$b72effae-f13c-64bf-6f4f-e176698a7d564 ÀÑ‘õµóˆ(€ßÈöµóˆ:
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