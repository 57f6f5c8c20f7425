<#
Takes the Jianlian agent off a Windows PC. Refuses while data waits that the cloud does not have; the data folder stays.

    powershell -ExecutionPolicy Bypass -File remove-agent.ps1 [-LosePending]
#>
[CmdletBinding()]
param(
    [string]$Program = (Join-Path $env:ProgramFiles 'Jianlian'),
    [string]$Data = (Join-Path $env:ProgramData 'Jianlian\agent'),
    [switch]$LosePending
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2.0

$exe = Join-Path $Program 'venv\Scripts\python.exe'
$remove = @('-m', 'agent', 'service', 'remove', '--data', $Data)
if ($LosePending) { $remove += '--lose-pending' }
& $exe @remove
if ($LASTEXITCODE -ne 0) { throw 'Not removed: see above.' }
Remove-Item -Recurse -Force $Program
Write-Host "Removed. The data folder $Data was left as it is."
