
$6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11=crm.push.disabled Ç‘ïã÷õˆ(<2
status	
failing

disabled:æ
$3c7e2f4b-91d0-7a55-8e06-5b1f0c9d7a21= ÀÑ‘õµóˆ(À‘ïã÷õˆ:
description<:
failing_since<:

status=‚;
disabledThe warehouse's hook2024-10-03T00:01:15+00:00Š
descriptionpushŠ
failing_sincepushŠ
statuserpBpushRop-9Zbatch-3