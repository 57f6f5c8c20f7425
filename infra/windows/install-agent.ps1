<#
Installs the Jianlian agent on a Windows PC as a service, without the internet.

    powershell -ExecutionPolicy Bypass -File install-agent.ps1 -Wheels D:\wheels -Code JL1....

-Wheels   folder with the wheels of requirements-agent.lock and of jianlian itself (made with: pip download --require-hashes ...)
-Code     enrolment code from the web page; left out: the PC is already enrolled, or is to be enrolled later
-Program  where the program goes          (default: C:\Program Files\Jianlian)
-Data     where its data lies             (default: C:\ProgramData\Jianlian\agent)
-Maker    the maker's public key release.pem; without it no update is ever taken

Run it again to bring a PC to another version: the service is stopped, the program replaced, the data left as it is.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)][string]$Wheels,
    [string]$Code = '',
    [string]$Program = (Join-Path $env:ProgramFiles 'Jianlian'),
    [string]$Data = (Join-Path $env:ProgramData 'Jianlian\agent'),
    [string]$Maker = '',
    [string]$Python = 'py'
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2.0

function Invoke-Checked {
    param([string]$File, [string[]]$Arguments)
    & $File @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$File $($Arguments -join ' '): exit code $LASTEXITCODE" }
}

$me = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { throw 'Run this as administrator.' }
if (-not (Test-Path $Wheels)) { throw "No folder $Wheels" }

# 3.11 or newer; the launcher py finds it for every user of the PC.
$launch = @()
if ($Python -eq 'py') { $launch = @('-3') }
Invoke-Checked $Python ($launch + @('-c', 'import sys; sys.exit(sys.version_info < (3, 11))'))

$service = Get-Service -Name 'JianlianAgent' -ErrorAction SilentlyContinue
if ($null -ne $service -and $service.Status -ne 'Stopped') {
    Stop-Service -Name 'JianlianAgent'
    (Get-Service -Name 'JianlianAgent').WaitForStatus('Stopped', [TimeSpan]::FromSeconds(60))
}

$venv = Join-Path $Program 'venv'
$exe = Join-Path $venv 'Scripts\python.exe'
if (-not (Test-Path $exe)) { Invoke-Checked $Python ($launch + @('-m', 'venv', $venv)) }
Invoke-Checked $exe @('-m', 'pip', 'install', '--no-index', '--find-links', $Wheels, '--require-hashes', '--no-deps', '-r', (Join-Path $Wheels 'requirements-agent.lock'))
Invoke-Checked $exe @('-m', 'pip', 'install', '--no-index', '--find-links', $Wheels, '--no-deps', '--force-reinstall', 'jianlian')

New-Item -ItemType Directory -Force -Path $Data | Out-Null
if ($Maker -ne '') { Copy-Item $Maker (Join-Path $Data 'release.pem') -Force }
if ($Code -ne '') { Invoke-Checked $exe @('-m', 'agent', 'enrol', $Code, '--data', $Data) }
if ($null -eq $service) {
    Invoke-Checked $exe @('-m', 'agent', 'service', 'install', '--data', $Data)
} else {
    Start-Service -Name 'JianlianAgent'
}
& $exe @('-m', 'agent', 'doctor', '--data', $Data)
Write-Host "Installed in $Program, data in $Data. Log: $(Join-Path $Data 'agent.log')"
