"""The board's report in Chinese: whole texts, and sentences with their numbers and names.

The report is written in English. Where a page is rendered in Chinese, each text is replaced: a
short one as a whole (``WHOLE``), a longer one by its sentences (``SENTENCES``, regular expressions
whose groups keep numbers and names). A test holds the numbers of both languages against each other
and finds sentences that were left in English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

WHOLE = {
    "Skip to the report": "跳到报告",
    "TradeFL report": "TradeFL 报告",
    "Contents": "目录",
    "organizations": "组织数",
    "organization": "组织",
    "social welfare": "社会总福利",
    "all payoffs together": "全部收益之和",
    "money that changes hands, net": "净转移金额",
    "money that changes hands": "转移金额",
    "lowest payoff": "最低收益",
    "no payoff is negative": "没有负收益",
    "somebody would lose by taking part": "有组织参与后会亏损",
    "least gain over training alone": "相对单独训练的最小增益",
    "everybody earns at least what it would by training alone": "每个组织的所得都不低于单独训练",
    "largest regret": "最大后悔值",
    "the most that anybody could gain by changing alone": "任何一方单独改变最多能多得的数额",
    "The decision": "决策",
    "What each earns": "各方收益",
    "Who pays whom": "谁向谁支付",
    "How far from the best? The rules side by side": "离最优有多远？各规则对比",
    "The equations": "公式",
    "Who could leave, and why they do not": "谁可能离开，为何不会",
    "Each payoff between leaving and being worth its pay": "各方收益：在离开与物有所值之间",
    "what it brings": "带来的价值",
    "least core": "最小核心",
    "payoff units": "收益单位",
    "No split of this consortium is stable.": "该联盟没有任何稳定的分配。",
    "What each contributes": "各方贡献",
    "data in the training, Omega": "训练中的数据，Omega",
    "the sum of d u over all organizations": "全部组织的 d u 之和",
    "performance of the model, P(Omega)": "模型性能，P(Omega)",
    "share of data, all together": "数据贡献比例，合计",
    "What each organization contributes: d, f and x": "各组织的贡献：d、f 与 x",
    "d, share of its data": "d，数据贡献比例",
    "f, frequency (GHz)": "f，频率 (GHz)",
    "The contributions in numbers": "贡献的数值",
    "share d": "比例 d",
    "frequency f": "频率 f",
    "data d s": "数据 d s",
    "resource x": "资源 x",
    "training time": "训练时间",
    "training time (s)": "训练时间 (s)",
    "lowest": "最低",
    "a tenth below": "十分之一低于",
    "median": "中位数",
    "a tenth above": "十分之一高于",
    "highest": "最高",
    "gain over training alone": "相对单独训练的增益",
    "gain over alone": "相对单独的增益",
    "costs of data and of joining": "数据成本与加入成本",
    "added": "附加",
    "share of its data": "数据贡献比例",
    "what binds": "约束",
    "receives": "收入",
    "(+), pays (-)": "(+)，支付 (-)",
    "receives (+), pays (-)": "收入 (+)，支付 (-)",
    "payoff": "收益",
    "alone": "单独训练",
    "all data": "全部数据",
    "interior": "内部解",
    "minimum": "最低要求",
    "deadline": "期限",
    "all": "合计",
    "sum": "合计",
    "revenue": "收入",
    "overhead": "开销",
    "damage": "损害",
    "redistribution": "再分配",
    "all organizations together": "全部组织合计",
    "against the revenue": "相对收入",
    "payments": "支付笔数",
    "largest payment": "最大一笔支付",
    "pairs of which one pays the other": "其中一方向另一方支付的组织对",
    "received by those who receive more than they pay": "由收大于付的组织收到",
    "pays": "支付",
    "neither": "收支相抵",
    "in all it": "总计",
    "from": "支付方",
    "to": "收款方",
    "amount": "金额",
    "social optimum": "社会最优",
    "price of anarchy": "无政府代价",
    "the optimum, over the welfare without payments": "最优福利除以无支付时的福利",
    "missing without payments": "无支付时的缺口",
    "rule": "规则",
    "of what is missing it brings": "弥补缺口的比例",
    "data, sum of d": "数据，d 之和",
    "performance P": "性能 P",
    "sum of all payments": "支付总额",
    "gain": "获益",
    "lose": "受损",
    "largest loss": "最大损失",
    "payoff without payments": "无支付时的收益",
    "number": "编号",
    "formula": "公式",
    "in words": "文字说明",
    "Under the alternatives, against no compensation:": "在其他方案下，与无补偿相比：",
    "What is proven, and what is assumed:": "已证明的内容与所作的假设：",
    "What each gains over training alone": "各方相对单独训练的增益",
    "Who pays whom, the largest first": "谁向谁支付，金额最大的在前",
    "The rules side by side": "各规则对比",
    "What each gains over no payments, by rule": "各规则下各方相对无支付的增益",
    "Every equation that this report names": "本报告引用的全部公式",
    "Nobody pays anybody.": "没有任何支付。",
    "gain over no payments, payoff": "相对无支付的增益",
}

_RULES = (
    (r"the paper's rule, gamma", "论文规则，gamma"),
    (r"the efficient rule of the file", "文件中的有效规则"),
    (r"the efficient rule, equal-gain", "有效规则，等额增益"),
    (r"the efficient rule, proportional-gain", "有效规则，按比例增益"),
    (r"the efficient rule, least-cash", "有效规则，最少现金"),
    (r"the efficient rule, by-profitability", "有效规则，按盈利能力"),
    (r"the efficient rule, stable", "有效规则，最稳定"),
    (r"the efficient rule, truthful", "有效规则，如实申报"),
    (r"the efficient rule", "有效规则"),
    (r"no compensation", "无补偿"),
    (r"units of payoff", "收益单位"),
    (r"\bpayoff units\b", "收益单位"),
)
_STEPS = (
    (r"all organizations together:", "全部组织合计："),
    (r"\brevenue (?=[-+\d])", "收入 "),
    (r"\boverhead (?=[-+\d])", "开销 "),
    (r"\bdamage (?=[-+\d])", "损害 "),
    (r"\bredistribution (?=[-+\d])", "再分配 "),
    (r"\bpayoff (?=[-+\d])", "收益 "),
)
SENTENCES: tuple[tuple[str, str], ...] = (
    (
        r"These contributions hold: nobody gains by contributing more or less than this\.",
        "这些贡献是稳定的：任何一方多贡献或少贡献都不会获益。",
    ),
    (
        r"These contributions do not hold: each of them would rather train alone\.",
        "这些贡献并不稳定：每个组织都宁愿单独训练。",
    ),
    (
        r"These contributions do not hold: ([\d,]+) of ([\d,]+) would rather train alone\.",
        r"这些贡献并不稳定：\2 个组织中有 \1 个宁愿单独训练。",
    ),
    (
        r"Among those that take part nobody gains by contributing more or less than this\.",
        "参加的各方中，任何一方多贡献或少贡献都不会获益。",
    ),
    (
        r"Proven: no outcome has a higher potential U, Eq\. \(18\)\.",
        "已证明：没有任何结果具有更高的势函数 U，Eq. (18)。",
    ),
    (
        r"(?:Stable: n|N)obody gains by changing its own contribution alone\.",
        "任何一方单独改变贡献都不会获益。",
    ),
    (
        r"The largest regret says how much somebody could still gain by changing alone\.",
        "最大后悔值说明单独改变还能多得多少。",
    ),
    (
        r"Not stable: everybody keeps the rules, but somebody would gain by changing alone\.",
        "不稳定：各方都遵守规则，但有组织单独改变会获益。",
    ),
    (
        r"Not finished: the method stopped at its limit\. Do not sign this\.",
        "未完成：方法在上限处停止。请勿签署。",
    ),
    (
        r"Against the rules: somebody breaks the deadline or another limit\.",
        "违反规则：有组织超出期限或其他限制。",
    ),
    (r"([\d,]+) organizations? receive, ([\d,]+) pay", r"\1 个组织收款，\2 个付款"),
    (
        r"([\d,]+) organizations? would earn more by training alone",
        r"\1 个组织单独训练会得到更多",
    ),
    (
        r"([\d,]+) organizations? trains? one model together instead of one each\.",
        r"\1 个组织共同训练一个模型，而不是各自训练一个。",
    ),
    (
        r"Together they gain (-?[\d,.]+) (.+?) over training alone\.",
        r"与单独训练相比，它们共增益 \1 \2。",
    ),
    (
        r"Together they lose ([\d,.]+) (.+?) against training alone\.",
        r"与单独训练相比，它们共损失 \1 \2。",
    ),
    (r"Each of them does at least as well as alone\.", "每个组织都不比单独训练差。"),
    (
        r"(\S.*?) do(?:es)? worse than alone: of ([\d,]+), ([\d,]+) would rather not join\.",
        r"\1 不如单独训练：\2 个组织中有 \3 个宁愿不加入。",
    ),
    (r"What each contributes, pays and gains, (.+)", r"各方的贡献、支付与增益，\1"),
    (r"Gain over training alone:", "相对单独训练的增益："),
    (r"gain over training alone, (.+)", r"相对单独训练的增益，\1"),
    (
        r"What each organization gains over training alone, (.+?)\.",
        r"各组织相对单独训练的增益，\1。",
    ),
    (r": welfare (-?[\d,.]+) (.+?); nobody loses", r"：福利 \1 \2；无人受损"),
    (
        r": welfare (-?[\d,.]+) (.+?); ([\d,]+) organizations lose",
        r"：福利 \1 \2；\3 个组织受损",
    ),
    (r": welfare (-?[\d,.]+) (.+?); (.+?) loses?$", r"：福利 \1 \2；受损：\3"),
    (
        r"Proven, given the figures: nobody gains by contributing otherwise while the others "
        r"contribute as shown\.",
        "在所给数据下已证明：其他组织按所示贡献时，任何一方改变贡献都不会获益。",
    ),
    (
        r"Proven: what some pay others receive, so nobody has to put money in\.",
        "已证明：一方所付即另一方所收，无需任何人注资。",
    ),
    (
        r"Assumed: the figures of the file, such as what a better model earns each organization, "
        r"and the curve that says how accuracy grows with data\.",
        "假设：文件中的数据，例如更好的模型给各组织带来的收入，以及准确率随数据增长的曲线。",
    ),
    (r"Assumed: ([\w-]+) as the data-accuracy function\.", r"假设：数据与准确率的函数为 \1。"),
    (
        r"All amounts are in ([A-Z]{3})\. A unit of payoff in the consortium file is "
        r"([\d,.]+) ([A-Z]{3})\.",
        r"所有金额以 \1 计。联盟文件中一个收益单位为 \2 \3。",
    ),
    (
        r"Assumed: rivals take from each other what their markets overlap times ([\d.]+) "
        r"\(conduct\)\. Overlap is computed from market segments; conduct is a judgement\.",
        r"假设：竞争对手相互夺取的份额为市场重叠乘以 \1（竞争强度）。重叠由市场细分计算，"
        r"竞争强度是判断。",
    ),
    (
        r"Note: everybody is at a limit \((.+?)\): small changes of any figure change no "
        r"contribution\.",
        r"注意：所有组织都处于边界（\1）：任何数据的微小变化都不改变贡献。",
    ),
    (
        r"Note: compensation moves (.+?) and buys no data: without it everybody contributes the "
        r"same\.",
        r"注意：补偿转移了 \1，却没有换来数据：没有它各方的贡献也相同。",
    ),
    (r"Would they stay\?", "他们会留下吗？"),
    (
        r"Could some organizations do better among themselves\? A group that leaves trains its own "
        r"model, and the others do not get it\.",
        "部分组织自行合作会更好吗？离开的一组训练自己的模型，其他组织得不到它。",
    ),
    (
        r"(?<!Not )Stable\. No coalition could do better on its own: proven for all 2\^(\d+) - 2 "
        r"coalitions\.",
        r"稳定。没有任何联合体单独行动会更好：已对全部 2^\1 - 2 个联合体证明。",
    ),
    (
        r"Undecided\. No coalition was found that does better on its own, but it is not proven "
        r"that there is none: one may gain up to (-?[\d,.]*\d)\.",
        r"未定。未发现单独行动会更好的联合体，但未证明不存在：可能最多多得 \1。",
    ),
    (
        r"Not stable\. Together, all but (.+?) would have (-?[\d,.]+) on their own, (-?[\d,.]+) "
        r"\((\S+) % of what all have\) more than now: (-?[\d,.]+) for each of the (\d+), shared "
        r"equally\.",
        r"不稳定。除 \1 之外的组织自行合作共得 \2，比现在多 \3（占全体所得的 \4 %）："
        r"平分给 \6 个组织，每个多 \5。",
    ),
    (
        r"Not stable\. Together, (.+?) would have (-?[\d,.]+) on their own, (-?[\d,.]+) "
        r"\((\S+) % of what all have\) more than now: (-?[\d,.]+) for each of the (\d+), shared "
        r"equally\.",
        r"不稳定。\1 自行合作共得 \2，比现在多 \3（占全体所得的 \4 %）："
        r"平分给 \6 个组织，每个多 \5。",
    ),
    (
        r"Not stable\. (.+?) would have (-?[\d,.]+) on its own, (-?[\d,.]+) "
        r"\((\S+) % of what all have\) more than now\.",
        r"不稳定。\1 单独可得 \2，比现在多 \3（占全体所得的 \4 %）。",
    ),
    (
        r"([\d,]+) coalitions could do better than now; this one gains most\.",
        r"有 \1 个联合体会比现在更好；其中此联合体增益最大。",
    ),
    (
        r"Nobody would leave alone: each has at least what its own model earns\. (.+?) has least "
        r"to lose, (-?[\d,.]*\d)\.",
        r"没有组织会单独离开：各方所得都不低于自有模型。\1 可失去的最少，为 \2。",
    ),
    (
        r"^(.+?) ha(?:s|ve) less than by training alone, and could leave without anybody\.",
        r"\1 的所得低于单独训练，可以独自离开。",
    ),
    (
        r"Nobody would be expelled: the others would lose (-?[\d,.]+) without (.+?), and more "
        r"without anybody else\.",
        r"没有组织会被排除：没有 \2，其他组织会损失 \1；没有任何其他一方则损失更多。",
    ),
    (
        r"The others would do better without (.+?): (-?[\d,.]+) better without (.+?)\.$",
        r"没有 \1，其他组织会更好：没有 \3 则多得 \2。",
    ),
    (
        r"Of all groups, all but (.+?) comes nearest to leaving, and would lose (-?[\d,.]+) "
        r"\((\S+) % of what all have\)\.",
        r"在所有组中，除 \1 之外的组织最接近离开，会损失 \2（占全体所得的 \3 %）。",
    ),
    (
        r"Of all groups, the coalition of (.+?) comes nearest to leaving, and would lose "
        r"(-?[\d,.]+) \((\S+) % of what all have\)\.",
        r"在所有组中，\1 的联合体最接近离开，会损失 \2（占全体所得的 \3 %）。",
    ),
    (
        r"The split called least core makes every group lose at least (-?[\d,.]*\d) by leaving; no "
        r"split does better",
        r"最小核心分配使任何一组离开都至少损失 \1；没有更好的分配",
    ),
    (r" as far as was found\.", "（就所发现而言）。"),
    (
        r"A bar for each organization from what it has alone to what it brings, with its payoff "
        r"and the least core marked: (\d+) payoffs are within their bars, (\d+) below, "
        r"(\d+) above\.",
        r"每个组织一根柱，从单独所得到带来的价值，并标出收益与最小核心：\1 个收益在柱内，"
        r"\2 个低于，\3 个高于。",
    ),
    (
        r"Below its bar an organization would rather train alone; above it the others would rather "
        r"do without it\. The diamond is the split that keeps every group furthest from leaving\.",
        "低于柱则该组织宁愿单独训练；高于柱则其他组织宁愿没有它。菱形是使每一组都最不愿离开的分配。",
    ),
    (r"What each has alone, has now, and brings, (.+)", r"各方单独所得、现在所得与带来的价值，\1"),
    (
        r"Proven: no group gains more than (-?[\d,.]+) \((\S+) % of what all have\)\. "
        r"tradefl stability tests other splits, and the market reading\.",
        r"已证明：没有任何一组的增益超过 \1（占全体所得的 \2 %）。tradefl stability "
        r"可检验其他分配与市场解读。",
    ),
    (
        r"Each organization chooses two things: d, the share of its data that it lets the training "
        r"use, and f, the CPU frequency it trains at\. Data improves the model for everybody; "
        r"computing costs energy\. x counts both in bits: x = d s \+ lambda f\.",
        "每个组织选择两项：d，允许训练使用的数据比例；f，训练时的 CPU 频率。"
        "数据为所有组织改进模型，计算消耗能源。x 以比特合计两者：x = d s + lambda f。",
    ),
    (r"So they can be paid with one price\.", "因此二者可用同一价格支付。"),
    (
        r"This rule pays for data alone, by each organization's schedule\.",
        "该规则只按各组织的价目表为数据付款。",
    ),
    (r": the loss that training removed", "：训练所消除的损失"),
    (
        r"([\d,]+) of ([\d,]+) organizations? contribute all of it",
        r"\2 个组织中有 \1 个贡献全部数据",
    ),
    (
        r"Three bars for each of ([\d,]+) organizations?\. The largest contribution x is that of "
        r"(.+?): ([\d.]+ \S+)\.",
        r"\1 个组织各有三根柱。最大的贡献 x 来自 \2：\3。",
    ),
    (
        r"What each contributes: the share d of its data, the frequency f, and both together as x, "
        r"(Eq\. \(9\))\.",
        r"各方的贡献：数据比例 d、频率 f，以及二者之和 x，\1。",
    ),
    (r"The share d over all ([\d,]+) organizations", r"全部 \1 个组织的比例 d"),
    (
        r"Of ([\d,]+) organizations ([\d,]+) are shown: those that receive most, pay most, "
        r"contribute most and have the lowest payoff\. The solution document has all\.",
        r"\1 个组织中显示 \2 个：收入最多、支付最多、贡献最多以及收益最低的。完整结果见求解文档。",
    ),
    (
        r"Four steps lead from the model to the payoff\. Revenue: what the better model earns\. "
        r"Overhead: the energy that training takes\. Damage: what rivals earn, at one's expense, "
        r"because one's own data improved their model\. Redistribution: what rivals pay for that, "
        r"or what one pays them\.",
        "从模型到收益有四步。收入：更好的模型带来的收入。开销：训练所耗的能源。损害：自己的数据改进了"
        "对手的模型，使对手以自己为代价的所得。再分配：对手为此支付的金额，或自己付给对手的金额。",
    ),
    (
        r"All amounts are in the consortium's own unit of payoff\.",
        "所有金额以联盟自定的收益单位计。",
    ),
    (r"All amounts are in ([A-Z]{3})\.", r"所有金额以 \1 计。"),
    (
        r"all payoffs together; redistribution cancels from it",
        "全部收益之和；再分配在其中相互抵消",
    ),
    (
        r"From revenue to payoff, all organizations together, Eq\. \(11\)\.",
        "从收入到收益，全部组织合计，Eq. (11)。",
    ),
    (
        r"From revenue to payoff, one waterfall for each organization, Eq\. \(11\)\.",
        "从收入到收益，每个组织一张瀑布图，Eq. (11)。",
    ),
    (
        r"Next to the revenue the other steps can be too small to see\. The next figure leaves the "
        r"revenue out: zero is the revenue, and the last bar ends at the payoff against it\.",
        "与收入相比，其他步骤可能小得看不见。下图略去收入：零点即收入，最后一根柱止于相对收入的收益。",
    ),
    (
        r"What is taken from the revenue and added to it, Eq\. \(6\)-\(10\)\.",
        "从收入中扣除与加上的部分，Eq. (6)-(10)。",
    ),
    (
        r"Every payoff, term by term: revenue - overhead - damage \+ redistribution; and what "
        r"training alone would earn",
        "逐项收益：收入 - 开销 - 损害 + 再分配；以及单独训练的所得",
    ),
    (
        r"Of two rivals, the one that contributes less pays the other: gamma times rho times the "
        r"difference of what they contribute, Eq\. \(9\)\.",
        "两个竞争对手中，贡献较少者向另一方支付：gamma 乘以 rho 乘以贡献之差，Eq. (9)。",
    ),
    (
        r"Each organization's data is worth something to all others; how much, its schedule says\. "
        r"Of two, the one whose data is worth less than was agreed on, against the other's, pays "
        r"the other a share of the difference, and both settle the constant that they have agreed "
        r"on, Eq\. \(9e\)\.",
        "每个组织的数据对其他组织都有价值，其数额由价目表给出。两个组织中，数据价值低于约定较多者向另一方"
        "支付差额的一部分，双方再结清约定的常数，Eq. (9e)。",
    ),
    (
        r"What one pays the other receives, so nobody has to put money in\.",
        "一方所付即另一方所收，无需任何人注资。",
    ),
    (
        r"Arrows between ([\d,]+) names on a circle\. The largest:",
        r"圆周上 \1 个名称之间的箭头。最大的：",
    ),
    (
        r"Who pays whom, (Eq\. \(9e?\)): an arrow points to the receiver, a thicker one is more\. "
        r"Behind each name: what it receives less what it pays, Eq\. \(10\)\.",
        r"谁向谁支付，\1：箭头指向收款方，越粗金额越大。名称后为收入减支付，Eq. (10)。",
    ),
    (
        r"Who pays whom, (Eq\. \(9e?\)): an arrow points to the receiver, a thicker one is more\.",
        r"谁向谁支付，\1：箭头指向收款方，越粗金额越大。",
    ),
    (
        r"Behind each name: what it receives less what it pays, (Eq\. \(10\))\.",
        r"名称后为收入减支付，\1。",
    ),
    (
        r"tradefl explain lists every payment of an organization\.",
        "tradefl explain 列出一个组织的每笔支付。",
    ),
    (
        r"The ([\d,]+) largest of ([\d,]+) payments, ([\d.]+%) of their sum\.",
        r"\2 笔支付中最大的 \1 笔，占总额的 \3。",
    ),
    (
        r"Who pays whom, the largest first \(([\d,]+) of ([\d,]+)\)",
        r"谁向谁支付，金额最大的在前（\2 笔中的 \1 笔）",
    ),
    (
        r"Payments cancel when all payoffs are added up, so a rule makes all better off only "
        r"through what it makes them contribute\. The social optimum is the most that they could "
        r"have together\. Below, each rule's equilibrium is compared with it, and with what "
        r"everybody would have without any payments\.",
        "全部收益相加时支付相互抵消，所以规则只有通过促成的贡献才能让大家都更好。社会最优是它们共同所能得到"
        "的最大值。下面将各规则的均衡与之比较，并与没有任何支付时的所得比较。",
    ),
    (
        r"the optimum, over the welfare without payments, where that is positive",
        "最优福利除以无支付时的福利（须为正）",
    ),
    (
        r"no gamma is individually rational, so none is tuned",
        "没有任何 gamma 满足个体理性，故未调优",
    ),
    (
        r"at every gamma some organization would earn more alone, so none is tuned",
        "在每个 gamma 下都有组织单独训练会得到更多，故未调优",
    ),
    (
        r"the efficient rule's equilibrium is (\S+) below the optimum: if figures have changed "
        r"since it was designed, design it again",
        r"有效规则的均衡比最优低 \1：若设计后数据有变，请重新设计",
    ),
    (
        r"([\d,]+) of ([\d,]+) organizations lose under the efficient rule of the file, which is "
        r"designed to leave no loser: if figures have changed since, design it again",
        r"\2 个组织中有 \1 个在文件的有效规则下受损，而该规则的设计不应使任何组织受损："
        r"若数据有变，请重新设计",
    ),
    (
        r"welfare without compensation is not positive, so there is no price of anarchy",
        "无补偿时的福利不为正，故没有无政府代价",
    ),
    (r"proven: nothing above (-?[\d,.]+) is possible", r"已证明：不可能高于 \1"),
    (
        r"the best that was found; it is not proven to be the highest",
        "已找到的最好结果，尚未证明为最高",
    ),
    (r"([\d.]+%) of the optimum", r"最优的 \1"),
    (r"Bars next to each other for each organization\.", "每个组织并列的柱。"),
    (
        r": from ([-+][\d,.]+|0[\d.]*) \((.+?)\) to ([-+][\d,.]+|0[\d.]*) \((.+?)\), "
        r"([\d,]+) organizations? loses?\.",
        r"：从 \1（\2）到 \3（\4），\5 个组织受损。",
    ),
    (
        r"What each organization gains or loses under each rule, against no payments at all\.",
        "各组织在各规则下相对无支付的得失。",
    ),
    (r"What each gains over no payments, payoff units", "各方相对无支付的增益"),
    (r"What each gains over no payments, (\w+)", r"各方相对无支付的增益，\1"),
    (
        r"The efficient rule pays each organization what its data is worth to all others, so that "
        r"what is best for itself is best for all, and splits what that gains by constants\. It "
        r"needs everybody's figures to be known; the paper's rule needs gamma, rho and the "
        r"contributions only\.",
        "有效规则按数据对其他组织的价值向各组织付款，使对自己最好的也对大家最好，并用常数分配所得。它需要知道"
        "各方的数据；论文规则只需要 gamma、rho 和贡献。",
    ),
    (
        r"The numbers are those of S\. Yuan et al\., “(.+?)”\. i is the organization in question, "
        r"j another one\.",
        r"编号取自 S. Yuan 等，“\1”。i 为所论组织，j 为另一组织。",
    ),
    (
        r"The time to train on the share d of the data s at f cycles a second\.",
        "以每秒 f 个周期训练数据 s 的 d 部分所需的时间。",
    ),
    (
        r"How much training with the data Omega improves the model, and what that earns\.",
        "用数据 Omega 训练对模型的改进，以及由此带来的收入。",
    ),
    (
        r"What rival j earns because the organization brought its data\.",
        "因该组织提供数据，对手 j 的所得。",
    ),
    (r"The part of that which goes at the organization's expense\.", "其中以该组织为代价的部分。"),
    (r"What the energy for computing and for both transfers costs\.", "计算与两次传输的能源成本。"),
    (
        r"Costs that the paper does not have: to prepare the data that is contributed, and to take "
        r"part at all\. Where a file states them, they are part of the overhead\.",
        "论文中没有的成本：准备所贡献的数据，以及参与本身。文件列出时计入开销。",
    ),
    (r"overhead as in (Eq\. \(8\)) \+", r"开销同 \1 +"),
    (
        r"What i receives from j; j pays it\. Negative: i pays\.",
        "i 从 j 收到、由 j 支付的金额。负数：i 支付。",
    ),
    (
        r"The same under the efficient rule\. phi_i is what i's data is worth to all others, "
        r"counted from what is agreed on; at what is agreed on the constants k_ij are all that is "
        r"paid\.",
        "有效规则下的同一金额。phi_i 是 i 的数据对其他组织的价值，从约定处算起；"
        "在约定处只支付常数 k_ij。",
    ),
    (r"; phi_i is read off i's schedule at d_i", "；phi_i 由 i 的价目表在 d_i 处读出"),
    (r"What i receives in all, less what it pays\.", "i 的总收入减去总支付。"),
    (r"What is left for the organization, and for all together\.", "该组织以及全体的所余。"),
    (
        r"Nash equilibrium: nobody gains by changing alone\.",
        "纳什均衡：任何一方单独改变都不会获益。",
    ),
    (r"What an organization may choose\.", "组织可以选择的范围。"),
    (
        r"The potential: it rises whenever anybody improves its payoff alone\. z_i = p_i - sum "
        r"over j of rho_ij p_j, and rho_i\. is the sum of rho_ij over j\. Under the efficient rule "
        r"phi_i takes the place of gamma rho_i\. x_i\. This is the corrected form: U as printed in "
        r"(Eq\. \(15\)) does not have that property\.",
        r"势函数：任何一方单独提高收益时它都上升。z_i = p_i 减去 rho_ij p_j 对 j 之和，"
        r"rho_i. 是 rho_ij 对 j 之和。有效规则下 phi_i 取代 gamma rho_i. x_i。"
        r"这是更正后的形式：\1 所印的 U 没有这一性质。",
    ),
    (r"Individual rationality: nobody loses by taking part\.", "个体理性：没有人因参与而亏损。"),
    (
        r"Made by tradefl (\S+) with the method ([\w-]+)\. The page needs no network and no "
        r"scripts\. tradefl explain prints the same statements, tradefl solve --json the same "
        r"numbers in full precision\.",
        r"由 tradefl \1 以方法 \2 生成。本页无需网络与脚本。tradefl explain 打印同样的明细，"
        r"tradefl solve --json 给出同样数字的全部精度。",
    ),
    (
        r"Omega = sum of d u; (.+); revenue = p P\(Omega\)",
        r"Omega = d u 之和；\1；收入 = p P(Omega)",
    ),
    (r"damage = sum over j of rho_ij varpi_j", "损害 = rho_ij varpi_j 对 j 之和"),
    (r"^overhead = varpi_e", "开销 = varpi_e"),
    (
        r"R_i = sum over j of r_ij; the sum of all R_i is 0",
        "R_i = r_ij 对 j 之和；全部 R_i 之和为 0",
    ),
    (
        r"payoff = revenue - overhead - damage \+ R; social welfare = the sum of all payoffs",
        "收益 = 收入 - 开销 - 损害 + R；社会总福利 = 全部收益之和",
    ),
    (
        r"payoff_i\(own choice, the others\) >= payoff_i\(any other choice, the others\)",
        "收益_i(自己的选择, 其他组织) >= 收益_i(任何其他选择, 其他组织)",
    ),
    (r"; f is one of the levels F;", "；f 为 F 中的一档；"),
    (
        r"maximize U = P\(Omega\) \+ sum over i of (\(.+\) / z_i)",
        r"最大化 U = P(Omega) + \1 对 i 之和",
    ),
    (r"payoff >= 0 for everybody", "每个组织的收益 >= 0"),
    (r"P\(Omega without d u\)", "P(Omega 去掉 d u)"),
    (r"\ball data (?=\d)", "全部数据 "),
    (r"\bdeadline (?=\d)", "期限 "),
    (r"\binterior (?=\d)", "内部解 "),
    (r"\bminimum (?=\d)", "最低要求 "),
    *_RULES,
    *_STEPS,
)


def chinese_of(names: Iterable[str]) -> Callable[[str], str]:
    """Return the function that turns a text of the board's report into Chinese.

    Parameters
    ----------
    names
        Of the consortium and its organizations, which stay as they are.
    """
    kept = sorted({name for name in names if name}, key=len, reverse=True)
    named = "|".join(map(re.escape, kept))
    pays = re.compile(rf"({named}) pays ({named})") if named else None
    compiled = [(re.compile(pattern), text) for pattern, text in SENTENCES]

    def chinese(text: str) -> str:
        plain = " ".join(text.split())
        if plain in kept:
            return text
        if plain in WHOLE:
            return WHOLE[plain]
        for pattern, replacement in compiled:
            plain = pattern.sub(replacement, plain)
        if pays is not None:
            plain = pays.sub(r"\1 支付给 \2", plain)
        return plain

    return chinese
