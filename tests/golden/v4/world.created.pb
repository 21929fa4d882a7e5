
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c112crm.world.created ÇÑ‘õµóˆ2
name
Europe:\
$d8153128-7283-d94f-7081-6d9b61a08eeb2 ÀÑ‘õµóˆ(ÀÑ‘õµóˆ:
name2z
EuropeŠ
nameerpBconsoleRop-9Zbatch-3