
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c112crm.note.created ÇÑ‘õµóˆ2
title
Call21
contact&
$a68d6236-f78b-5822-836d-bc7977b5cc602
note
Met in Rome2
date

2026-11-24:õ
$692dc0e3-6a75-7277-b806-e9622f9423d52 ÀÑ‘õµóˆ(ÀÑ‘õµóˆ:
contact2:
date2:
note2:	
title2rE
$a68d6236-f78b-5822-836d-bc7977b5cc60CallMet in Rome"
2026-11-24Š
contactconsoleŠ
dateconsoleŠ
noteconsoleŠ
titleerpBconsoleRop-9Zbatch-3