
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c113crm.schema.field_changed á÷ŒıµÛà(22

visibility	
private:œ
$b72effae-f13c-64bf-6f4f-e176698a7d563 ¿—ëıµÛà(Ä÷ŒıµÛà:
allowed_values2:
description2:

entity2:
name2:
type2:

visibility3Z=
companydropdownColour"Of the door*Red*Green2privateä
allowed_valuesconsoleä
descriptionconsoleä
entityconsoleä
nameerpä
typeconsoleä

visibilityconsoleBconsoleRop-9Zbatch-3