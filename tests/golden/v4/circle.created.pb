
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c112crm.circle.created ÇÑ‘õµóˆ2
name
VIP:Y
$ecd83f8c-bd3c-64bf-6f16-decfd9bce3992 ÀÑ‘õµóˆ(ÀÑ‘õµóˆ:
name2j
VIPŠ
nameerpBconsoleRop-9Zbatch-3