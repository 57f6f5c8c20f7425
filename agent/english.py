"""English of what only the agent says on the command line (common/english.py has the rest)."""

from __future__ import annotations

ENGLISH: dict[str, str] = {
    # the kiosk, to a patient
    "请扫卡，或输入卡号。": "Scan your card, or type its number.",
    "现在不能取号，请到导诊台。": "No number can be given now. Please go to the service desk.",
    "网络中断，本机的离线号已经发完。请到导诊台人工取号。": "The network is down and this machine has no numbers left. "
    "Please go to the service desk.",
    "号码没有保存成功，请到导诊台人工取号。": "Your number could not be saved. Please go to the service desk.",
    "小票没有打印出来，号码有效，请记住号码，并告诉导诊人员检查打印机。": "The ticket was not printed. Your number is valid: "
    "please remember it, and tell the service desk about the printer.",
    "数据目录 {folder} 不存在。": "The data folder {folder} does not exist.",
    "先运行 jianlian-agent enrol 登记码，或用 --data 指定目录。": "Run jianlian-agent enrol CODE first, or name the folder with --data.",
    "在网页上重新下发配置，或修正 local.json。": "Send the configuration again from the web page, or correct local.json.",
    "没有配置任何仪器连接。": "No analyzer connection is configured.",
    "在网页“采集端”中为本代理添加连接。": "Add connections to this agent on its web page.",
    "配置第 {version} 版（本机 local.json），{n} 个连接。": "Configuration {version} (local.json of this PC), {n} connections.",
    "配置第 {version} 版，{n} 个连接。": "Configuration {version}, {n} connections.",
    "用新的登记码重新登记。": "Enrol again with a new code.",
    "尚未登记：数据只保存在本机。": "Not enrolled: data is kept on this PC only.",
    "在网页上生成登记码，运行 jianlian-agent enrol 登记码。": "Make a code on the web page and run jianlian-agent enrol CODE.",
    "已登记：医院 {tenant}，代理 {agent}。": "Enrolled: hospital {tenant}, agent {agent}.",
    "密钥文件其他用户也能读。": "Other users can read the key file.",
    "运行 chmod 600 {file}": "Run chmod 600 {file}",
    "代理没有运行，仪器数据不会被接收。": "The agent does not run; data of analyzers is not taken.",
    "启动服务 jianlian-agent，或运行 jianlian-agent run。": "Start the service jianlian-agent, or run jianlian-agent run.",
    "代理刚刚启动，状态还没有写出。": "The agent has just started and has not written its state yet.",
    "几秒后再检查一次。": "Check again in a few seconds.",
    "代理已 {n} 秒没有动静。": "The agent has shown no sign of life for {n} seconds.",
    "重新启动代理；若再次发生，请把日志发给工程师。": "Start the agent anew; if it happens again, send the log to the engineer.",
    "代理正在运行（进程 {pid}）。": "The agent runs (process {pid}).",
    "磁盘剩余 {free} GB（已用 {used}）": "{free} GB of disk left ({used} used)",
    "{free}，已停止接收，仪器会报错并保留数据。": "{free}; nothing more is taken, analyzers show an error and keep their data.",
    "请尽快清理磁盘。": "Free disk space soon.",
    "曾发现损坏的日志库，已另存为 {file}，完好的记录已转入新库。": "A damaged journal was found and set aside as {file}; its whole "
    "records are in the new one.",
    "请工程师核对后移走该文件。": "Have an engineer look at that file and move it away.",
    "日志库将在代理第一次运行时建立。": "The journal is made when the agent runs for the first time.",
    "日志库有问题：{error}": "The journal has a fault: {error}",
    "重新启动代理，它会另存损坏的文件并救出完好的记录。": "Start the agent anew; it sets the damaged file aside and saves the whole "
    "records.",
    "日志库完好：待上传 {pending}，已确认 {done}，隔离 {bad}。": "The journal is whole: {pending} waiting, {done} confirmed, {bad} "
    "quarantined.",
    "隔离的记录在磁盘上已损坏，请工程师核对原始仪器数据。": "Quarantined records were damaged on disk; have an engineer compare them "
    "with the analyzer's data.",
    "证书或密钥读不出来：{error}": "Certificate or key cannot be read: {error}",
    "证书与密钥不是一对。": "Certificate and key do not belong together.",
    "证书已过期 {n} 天：仪器数据仍保存在本机，但不能上传。": "The certificate ended {n} days ago: data is still kept on this PC, but "
    "cannot be sent.",
    "证书还有 {n} 天到期。": "The certificate ends in {n} days.",
    "请在到期前用新的登记码重新登记。": "Enrol again with a new code before it ends.",
    "无法核对时钟：连接不上 {url}（{why}）。": "The clock cannot be compared: no connection to {url} ({why}).",
    "检查网络。": "Check the network.",
    "本机时钟与服务器相差 {n} 秒。": "This PC's clock differs from the server's by {n} seconds.",
    "打开系统的自动对时（NTP）。": "Switch automatic time (NTP) on.",
    "本机时钟与服务器一致。": "This PC's clock agrees with the server's.",
    "消息服务器 {where} 可达，加密正常。": "The message broker {where} is reached, encryption works.",
    "消息服务器 {where} 的加密连接失败：{why}。": "The encrypted connection to the message broker {where} fails: {why}.",
    "连接不上消息服务器 {where}：{why}。": "No connection to the message broker {where}: {why}.",
    "检查网络和防火墙；数据先保存在本机。": "Check network and firewall; data is kept on this PC meanwhile.",
    "{layer}：{trouble}。": "{layer}: {trouble}.",
    "{layer}：{trouble}；自 {since} 起断开，{n} 条待上传。": "{layer}: {trouble}; not connected since {since}, {n} waiting.",
    "已连接云端，{n} 条待上传。": "Connected to the cloud, {n} waiting.",
    "{name}：已停用。": "{name}: switched off.",
    "{name}（{line}）": "{name} ({line})",
    "{line}：{layer}：{trouble}。（{error}）": "{line}: {layer}: {trouble}. ({error})",
    "{line}：{layer}：{trouble}。": "{line}: {layer}: {trouble}.",
    "{line}：已连接，最近数据 {at}。": "{line}: connected, last data {at}.",
    "{line}：已连接，还没有数据。": "{line}: connected, no data yet.",
    "{line}不可用：{why}。": "{line} cannot be used: {why}.",
    "检查电缆、地址，或占用它的其他程序。": "Check cable and address, or the other program that uses it.",
    "{line}可用。": "{line} can be used.",
    # enrolment
    "登记码不完整或已损坏，请从网页重新复制整段登记码。": "The code is incomplete or damaged; copy the whole code from the web page again.",
    "{url} 没有给出证书，请核对登记码中的地址。": "{url} gave no certificate; check the address in the code.",
    "服务器的证书与登记码不符，可能有人冒充服务器。请停止并联系管理员。": "The server's certificate is not the one the code names: "
    "somebody may pretend to be the server. Stop and call the administrator.",
    "服务器的答复读不懂。": "The server's answer cannot be read.",
    "登记码中的地址不是 https，不能使用。": "The address in the code is not https and cannot be used.",
    "连接不上 {url}：{reason}。请检查网络和地址。": "No connection to {url}: {reason}. Check network and address.",
    "服务器拒绝登记（{code}）：登记码可能已用过或超过 30 分钟，请在网页上生成新的登记码。": "The server refuses ({code}): the code may "
    "have been used or be older than 30 minutes; make a new one on the web page.",
    "服务器的答复不完整，登记没有完成。": "The server's answer is incomplete; this PC is not enrolled.",
    "服务器签发的证书不是本机的密钥，登记没有完成。": "The server's certificate is not for this PC's key; this PC is not enrolled.",
    "服务器签发的证书不是给本代理的，登记没有完成。": "The server's certificate is not for this agent; this PC is not enrolled.",
    "本目录还有另一家医院（{other}）未上传的数据，不能登记到 {tenant}。请先让它们上传完，或换一个数据目录。": "This folder holds data of "
    "another hospital ({other}) that was not sent yet, and cannot be enrolled to {tenant}. Let it be sent first, or choose another folder.",
    "代理正在运行，请先停止它，再登记。": "The agent runs; stop it, then enrol.",
    # commands
    "数据目录 {folder} 已有一个代理在运行，请先停止它。": "An agent runs on the data folder {folder} already; stop it first.",
    "读不出文件 {file}：{why}。": "The file {file} cannot be read: {why}.",
    "写不了文件 {file}：{why}。": "The file {file} cannot be written: {why}.",
    "{folder} 是一个代理的数据目录，不能用作沙箱。": "{folder} is an agent's data folder and no sandbox.",
    "只在 Windows 上；Linux 用 systemd（infra/systemd/jianlian-agent.service）。": "On Windows only; on Linux use systemd "
    "(infra/systemd/jianlian-agent.service).",
    "还有 {n} 条数据没有上传，没有移除。请等它们上传完；确实要移除请加 --lose-pending（数据留在 {folder}）。": "{n} messages were "
    "not sent yet; nothing was removed. Wait for them; to remove it all the same add --lose-pending (the data stays in {folder}).",
    "{n} 秒内没有连上：{why}。": "Not connected within {n} seconds: {why}.",
    "对方未连接": "nobody connected",
    "地址应写成 主机:端口，例如 127.0.0.1:4001。": "The address is written HOST:PORT, for example 127.0.0.1:4001.",
    "串口格式应写成 8N1、7E1 这样：数据位、校验、停止位。": "The serial frame is written like 8N1 or 7E1: data bits, parity, stop bits.",
    # configuration
    "身份文件 {path} 不完整，请重新登记本代理。": "The identity file {path} is incomplete; enrol this agent again.",
    "文件 {path} 读不出来：{error}。请修正或删除它。": "The file {path} cannot be read: {error}. Correct or delete it.",
    "配置不是一个 JSON 对象。": "The configuration is no JSON object.",
    "配置中有两个连接使用同一个 key。": "Two connections of the configuration have the same key.",
    "配置中有一个连接没有 key。": "A connection of the configuration has no key.",
    "连接 {key} 的协议 {protocol} 不认识。": "Connection {key}: unknown protocol {protocol}.",
    "连接 {key} 的 answer 不是十六进制。": "Connection {key}: answer is not hexadecimal.",
    "连接 {key} 的仪器差异读不出来：{error}。": "Connection {key}: the site's differences cannot be read: {error}.",
    "连接 {key} 的传输方式 {kind} 不认识。": "Connection {key}: unknown transport {kind}.",
    "连接 {key} 缺少 {missing}。": "Connection {key} lacks {missing}.",
    "连接 {key} 的表名或列名只能用字母、数字、_ 和点。": "Connection {key}: names of table and columns take letters, digits, _ and "
    "dots only.",
    "配置项 {name} 应为整数。": "{name} must be a whole number.",
    "配置项 {name} 应为列表。": "{name} must be a list.",
}
