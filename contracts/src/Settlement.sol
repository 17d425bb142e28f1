// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITradeFL} from "./ITradeFL.sol";
import {TradeMath} from "./TradeMath.sol";

/// @title The settlement of one agreement, whatever the rule of its payments.
/// @author The TradeFL developers
/// @notice Holds the life of a settlement, its deadlines and its money. What a rule adds is behind the functions at
/// the end: how a report becomes a score, and how scores become payments. {TradeFL} and {TradeFLEfficient} are the
/// two rules.
///
/// The life of a settlement, one function after the other:
///
///   Drafting ── published ──> Joining ── all deposits in ──> Open ── all reported, or deadline ──> Recorded
///       └── deadline ──> Cancelled <── deadline ──┘                                                    │
///                            withdraw                 withdraw <── Settled <── Calculated <── dispute window
///
/// Who is trusted for what
/// - the deployer: nothing. It has no rights; the agreement is fixed by its hash, and whoever deposits names that hash.
/// - a stranger: nothing. Calls that anyone may make only carry on what is due, with bytes that the agreement fixes.
/// - the verifier (optional): that the contributions it signs were made, and that it signs those that were: who gets no
///   signature counts as silent. Without a verifier, reports are taken as they come.
/// - the arbiter (optional): its rulings on disputed reports, within the organization's own range. It can raise
///   nobody's bill above the bond and touch no money. Without one, reports stand.
/// - block producers: block time to within seconds, and that nobody is kept out for a whole window.
///
/// What holds whatever anybody does
/// - the R_i add up to exactly zero, because each pair is computed once and enters with both signs;
/// - a deposit covers the worst case, so nobody can be short: bonds follow from the agreement itself, by the rule;
/// - nobody who is silent or refuses a call can stop the others: every phase ends by a deadline or by a call that
///   anyone can make;
/// - money leaves by `withdraw` alone, to the one it belongs to.
///
/// Known limits: whoever reports late has seen the earlier reports (a verifier takes the use out of that); deadlines
/// follow block time; an account that cannot receive ether leaves its own credit here for good; ether that is forced
/// in is nobody's and stays.
abstract contract Settlement is ITradeFL, ReentrancyGuard {
    using SafeCast for uint256;
    using SafeCast for int256;

    /// @dev One organization. Three slots and its levels; the first is all that a phase change needs to read.
    struct Slot {
        address account;
        uint64 dataBits;
        bool reported;
        bool disputed;
        bool ruled;
        uint112 deposit; // wei
        int128 redistribution; // R, wei; |R| < 2^10 2^112
        bool joined; // here, it keeps the slot from being zero when R comes, which would make that dear
        int128 score; // that of its report; until then, and if it stays silent, that of silence
        uint64 cpuHz;
        uint32 dataPpb;
        bool withdrawn;
        uint64[] levels;
    }

    /// @notice The most organizations that one contract settles: what profileRecord and payoffTransfer can do in one
    /// transaction.
    uint256 public constant MAX_SIZE = 1024;

    /// @notice The most CPU levels of one organization.
    uint256 public constant MAX_LEVELS = 32;

    /// @notice The most that one organization may deposit, wei: 1,024 of them fit into an int128 with room to spare.
    uint256 public constant MAX_DEPOSIT = type(uint112).max;

    // EIP-712 by hand: OpenZeppelin's needs an EVM of Cancun or later, and this contract runs on older chains too.
    bytes32 private constant _DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant _NAME_HASH = keccak256("TradeFL");
    bytes32 private constant _VERSION_HASH = keccak256("1");
    bytes32 private constant _CONTRIBUTION_TYPEHASH =
        keccak256("Contribution(address organization,uint32 dataPpb,uint64 cpuHz)");

    bytes32 private immutable _AGREEMENT_HASH;
    bytes32 private immutable _ANNEX_HASH;
    uint256 internal immutable _SIZE;
    uint128 internal immutable _GAMMA;
    uint64 internal immutable _LAMBDA_PPB;
    uint32 private immutable _MIN_DATA_PPB;
    uint128 private immutable _WEI_PER_PAYOFF;
    address private immutable _VERIFIER;
    address private immutable _ARBITER;
    uint32 private immutable _JOIN_SECONDS;
    uint40 private immutable _JOIN_DEADLINE;
    uint32 private immutable _REPORT_SECONDS;
    uint32 private immutable _DISPUTE_SECONDS;
    uint32 private immutable _RULING_SECONDS;

    // One slot: where the settlement stands.
    Phase private _phase;
    bool private _annexIsPublished;
    uint16 private _listed;
    uint16 private _joined;
    uint16 private _reported;
    uint16 private _openDisputes;
    uint40 private _reportDeadline;
    uint40 private _disputeDeadline;
    uint40 private _rulingDeadline;

    /// @dev Bit b: block b of the pairs. 1,024 organizations make at most 128 blocks.
    uint256 private _published;
    uint256 private _calculated;

    bytes32[] private _organizationBlocks;
    bytes32[] private _pairBlocks;
    mapping(uint256 index => Slot slot) private _slots;
    mapping(address account => uint256 place) private _places; // index + 1; 0: not listed

    modifier onlyIn(Phase wanted) {
        _requirePhase(wanted);
        _;
    }

    /// @notice Drafts a settlement; the lists are published afterwards, by anyone who has them.
    /// @param terms_ what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param pairBlocks keccak256 of each block of what the rule knows of each pair
    constructor(Terms memory terms_, bytes32[] memory organizationBlocks, bytes32[] memory pairBlocks) {
        _requireRange("size", terms_.size, 2, MAX_SIZE);
        _requireRange("minDataPpb", terms_.minDataPpb, 1, TradeMath.PPB);
        _requireRange("weiPerPayoff", terms_.weiPerPayoff, 1, type(uint128).max);
        _requireRange("joinSeconds", terms_.joinSeconds, 1, type(uint32).max);
        _requireRange("reportSeconds", terms_.reportSeconds, 1, type(uint32).max);
        _requireRange("disputeSeconds", terms_.disputeSeconds, 1, type(uint32).max);
        _requireRange("rulingSeconds", terms_.rulingSeconds, 1, type(uint32).max);
        (uint256 organizationsPerBlock, uint256 pairsPerBlock,) = _layout();
        uint256 blocks = Math.ceilDiv(terms_.size, organizationsPerBlock);
        _requireRange("organizationBlocks", organizationBlocks.length, blocks, blocks);
        blocks = Math.ceilDiv(TradeMath.pairs(terms_.size), pairsPerBlock);
        _requireRange("pairBlocks", pairBlocks.length, blocks, blocks);

        _AGREEMENT_HASH = _hash(terms_, organizationBlocks, pairBlocks);
        _ANNEX_HASH = terms_.annexHash;
        _SIZE = terms_.size;
        _GAMMA = terms_.gamma;
        _LAMBDA_PPB = terms_.lambdaPpb;
        _MIN_DATA_PPB = terms_.minDataPpb;
        _WEI_PER_PAYOFF = terms_.weiPerPayoff;
        _VERIFIER = terms_.verifier;
        _ARBITER = terms_.arbiter;
        _JOIN_SECONDS = terms_.joinSeconds;
        _REPORT_SECONDS = terms_.reportSeconds;
        _DISPUTE_SECONDS = terms_.disputeSeconds;
        _RULING_SECONDS = terms_.rulingSeconds;
        _organizationBlocks = organizationBlocks;
        _pairBlocks = pairBlocks;
        _JOIN_DEADLINE = _secondsFromNow(terms_.joinSeconds);
        emit AgreementDrafted(_AGREEMENT_HASH, terms_, organizationBlocks, pairBlocks);
    }

    // --- Drafting ------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function annexPublish(bytes calldata annex) external onlyIn(Phase.Drafting) {
        if (_annexIsPublished) revert AlreadyPublished();
        _requireHash(_ANNEX_HASH, annex);
        _annexIsPublished = true;
        emit AnnexPublished(annex);
        _openJoiningWhenPublished();
    }

    /// @inheritdoc ITradeFL
    function organizationsPublish(uint256 blockIndex, bytes calldata data) external onlyIn(Phase.Drafting) {
        uint256 index = _listed;
        (uint256 perBlock,,) = _layout();
        if (index == _SIZE || blockIndex != index / perBlock) revert UnexpectedBlock(blockIndex);
        _requireHash(_organizationBlocks[blockIndex], data);
        uint256 end = Math.min(index + perBlock, _SIZE);
        _listed = end.toUint16();
        uint256 offset = 0;
        for (; index < end; ++index) {
            offset = _list(index, data, offset);
        }
        if (offset != data.length) revert MalformedBlock(data.length);
    }

    /// @inheritdoc ITradeFL
    function pairsPublish(uint256 blockIndex, bytes calldata data) external onlyIn(Phase.Drafting) {
        if (_listed != _SIZE) revert UnexpectedBlock(blockIndex);
        uint256 bit = _requireBlock(blockIndex, data);
        if (_published & bit != 0) revert AlreadyPublished();
        (, uint256 perBlock, uint256 pairBytes) = _layout();
        uint256 first = blockIndex * perBlock;
        uint256 pairs = Math.min(TradeMath.pairs(_SIZE) - first, perBlock);
        if (data.length != pairs * pairBytes) revert MalformedBlock(data.length);
        _published |= bit;
        _weigh(first, data);
        emit PairsPublished(blockIndex, data);
        _openJoiningWhenPublished();
    }

    // --- Joining -------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function cancel() external {
        if (_phase != Phase.Drafting && _phase != Phase.Joining) revert WrongPhase(_phase);
        _requireAfter(_JOIN_DEADLINE);
        _phase = Phase.Cancelled;
        emit SettlementCancelled();
    }

    /// @inheritdoc ITradeFL
    function depositSubmit(bytes32 expectedHash) external payable onlyIn(Phase.Joining) {
        _requireNotAfter(_JOIN_DEADLINE);
        if (expectedHash != _AGREEMENT_HASH) revert HashMismatch(_AGREEMENT_HASH, expectedHash);
        uint256 index = _indexOf(msg.sender);
        Slot storage slot = _slots[index];
        if (slot.joined) revert AlreadyJoined(msg.sender);
        uint256 bond = _bond(index);
        if (msg.value < bond) revert DepositBelowBond(bond, msg.value);
        if (msg.value > MAX_DEPOSIT) revert DepositAboveLimit(MAX_DEPOSIT, msg.value);
        slot.joined = true;
        slot.deposit = msg.value.toUint112();
        ++_joined;
        emit DepositSubmitted(msg.sender, msg.value);
        if (_joined == _SIZE) {
            _phase = Phase.Open;
            _reportDeadline = _secondsFromNow(_REPORT_SECONDS);
            emit ReportingOpened(_reportDeadline);
        }
    }

    /// @inheritdoc ITradeFL
    function propose(uint32 dataPpb, uint64 cpuHz) external {
        if (_phase != Phase.Joining && _phase != Phase.Open) revert WrongPhase(_phase);
        _scoreOf(_indexOf(msg.sender), dataPpb, cpuHz); // reverts unless it is feasible
        emit Proposed(msg.sender, dataPpb, cpuHz);
    }

    // --- Open ----------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function contributionSubmit(uint32 dataPpb, uint64 cpuHz, bytes32 statement, bytes calldata attestation)
        external
        onlyIn(Phase.Open)
    {
        _requireNotAfter(_reportDeadline);
        uint256 index = _indexOf(msg.sender);
        Slot storage slot = _slots[index];
        if (slot.reported) revert AlreadyReported(msg.sender);
        int128 score = _scoreOf(index, dataPpb, cpuHz);
        if (_VERIFIER != address(0)) {
            // The third value only describes a malformed signature, which is refused whatever it is.
            // slither-disable-next-line unused-return
            (address signer, ECDSA.RecoverError malformed,) =
                ECDSA.tryRecover(attestationDigest(msg.sender, dataPpb, cpuHz), attestation);
            if (malformed != ECDSA.RecoverError.NoError || signer != _VERIFIER) revert InvalidAttestation();
        }
        slot.reported = true;
        (slot.dataPpb, slot.cpuHz, slot.score) = (dataPpb, cpuHz, score);
        ++_reported;
        emit ContributionSubmitted(msg.sender, dataPpb, cpuHz, score, statement);
    }

    /// @inheritdoc ITradeFL
    function profileRecord() external onlyIn(Phase.Open) {
        if (_reported != _SIZE) _requireAfter(_reportDeadline);
        _phase = Phase.Recorded;
        // Without an arbiter nobody could rule, so nobody waits for it.
        _disputeDeadline = _secondsFromNow(_ARBITER == address(0) ? 0 : _DISPUTE_SECONDS);
        _rulingDeadline = _ARBITER == address(0) ? _disputeDeadline : _disputeDeadline + _RULING_SECONDS;

        uint32[] memory dataPpb = new uint32[](_SIZE);
        uint64[] memory cpuHz = new uint64[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            (dataPpb[i], cpuHz[i]) = (_slots[i].dataPpb, _slots[i].cpuHz);
        }
        emit ProfileRecorded(dataPpb, cpuHz, _disputeDeadline, _rulingDeadline);
    }

    // --- Recorded ------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function disputeRaise(address accused) external onlyIn(Phase.Recorded) {
        if (_ARBITER == address(0)) revert NoArbiter();
        _requireNotAfter(_disputeDeadline);
        _indexOf(msg.sender); // reverts unless the caller is listed
        Slot storage slot = _slots[_indexOf(accused)];
        if (slot.disputed) revert AlreadyDisputed(accused);
        slot.disputed = true;
        ++_openDisputes;
        emit DisputeRaised(msg.sender, accused);
    }

    /// @inheritdoc ITradeFL
    function rule(address accused, uint32 dataPpb, uint64 cpuHz) external onlyIn(Phase.Recorded) {
        if (msg.sender != _ARBITER) revert NotArbiter(msg.sender);
        // Not before everybody has had the time to dispute: a ruling ends what can be said about a report.
        _requireAfter(_disputeDeadline);
        _requireNotAfter(_rulingDeadline);
        uint256 index = _indexOf(accused);
        Slot storage slot = _slots[index];
        if (!slot.disputed || slot.ruled) revert NotDisputed(accused);
        int128 score = dataPpb == 0 && cpuHz == 0 ? _silence(index) : _scoreOf(index, dataPpb, cpuHz);
        slot.ruled = true;
        (slot.dataPpb, slot.cpuHz, slot.score) = (dataPpb, cpuHz, score);
        --_openDisputes;
        emit DisputeRuled(accused, dataPpb, cpuHz, score);
    }

    /// @inheritdoc ITradeFL
    function payoffCalculate(uint256 blockIndex, bytes calldata data) external {
        // Whoever comes late finds the block done, and that is no error.
        if (_phase != Phase.Recorded && _phase != Phase.Calculated) revert WrongPhase(_phase);
        uint256 bit = _requireBlock(blockIndex, data);
        if (_calculated & bit != 0) return;
        if (_ARBITER != address(0)) _requireAfter(_openDisputes == 0 ? _disputeDeadline : _rulingDeadline);
        _calculated |= bit;

        (, uint256 perBlock,) = _layout();
        int256[] memory r = new int256[](_SIZE);
        _redistribute(r, blockIndex * perBlock, data);
        for (uint256 i = 0; i < _SIZE; ++i) {
            if (r[i] != 0) _slots[i].redistribution += r[i].toInt128();
        }
        emit PayoffCalculated(blockIndex);
        if (_calculated == _allBlocks()) _phase = Phase.Calculated;
    }

    // --- Calculated ----------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function payoffTransfer() external onlyIn(Phase.Calculated) {
        _phase = Phase.Settled;
        uint256 deposits = 0;
        uint256 credits = 0;
        for (uint256 i = 0; i < _SIZE; ++i) {
            Slot storage slot = _slots[i];
            uint256 credit = _credited(slot);
            deposits += slot.deposit;
            credits += credit;
            emit PayoffTransferred(slot.account, slot.deposit, slot.redistribution, credit);
        }
        if (credits != deposits) revert NotConserved(deposits, credits);
        emit SettlementCompleted();
    }

    // --- Settled or Cancelled ------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function withdraw() external nonReentrant {
        if (_phase != Phase.Settled && _phase != Phase.Cancelled) revert WrongPhase(_phase);
        Slot storage slot = _slots[_indexOf(msg.sender)];
        if (!slot.joined || slot.withdrawn) revert NothingToWithdraw(msg.sender);
        uint256 amount = _owed(slot);
        slot.withdrawn = true;
        emit Withdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    // --- what anyone may read ------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function agreementHash() external view returns (bytes32) {
        return _AGREEMENT_HASH;
    }

    /// @inheritdoc ITradeFL
    function terms() external view returns (Terms memory) {
        return Terms({
            size: _SIZE.toUint16(),
            gamma: _GAMMA,
            lambdaPpb: _LAMBDA_PPB,
            minDataPpb: _MIN_DATA_PPB,
            weiPerPayoff: _WEI_PER_PAYOFF,
            verifier: _VERIFIER,
            arbiter: _ARBITER,
            joinSeconds: _JOIN_SECONDS,
            reportSeconds: _REPORT_SECONDS,
            disputeSeconds: _DISPUTE_SECONDS,
            rulingSeconds: _RULING_SECONDS,
            annexHash: _ANNEX_HASH
        });
    }

    /// @inheritdoc ITradeFL
    function phase() external view returns (Phase) {
        return _phase;
    }

    /// @inheritdoc ITradeFL
    function deadlines()
        external
        view
        returns (uint256 join, uint256 report, uint256 dispute, uint256 ruling)
    {
        return (_JOIN_DEADLINE, _reportDeadline, _disputeDeadline, _rulingDeadline);
    }

    /// @inheritdoc ITradeFL
    function progress()
        external
        view
        returns (
            bool annexIsPublished,
            uint256 listed,
            uint256 published,
            uint256 joined,
            uint256 reported,
            uint256 openDisputes,
            uint256 calculated
        )
    {
        return (_annexIsPublished, _listed, _published, _joined, _reported, _openDisputes, _calculated);
    }

    /// @inheritdoc ITradeFL
    function organization(uint256 index) external view returns (Account memory) {
        Slot storage slot = _slots[index];
        return Account({
            account: slot.account,
            dataBits: slot.dataBits,
            cap: _cap(index),
            bond: _bond(index),
            joined: slot.joined,
            deposit: slot.deposit,
            reported: slot.reported,
            dataPpb: slot.dataPpb,
            cpuHz: slot.cpuHz,
            score: slot.score,
            disputed: slot.disputed,
            ruled: slot.ruled,
            redistribution: slot.redistribution,
            withdrawn: slot.withdrawn,
            levels: slot.levels
        });
    }

    /// @inheritdoc ITradeFL
    function indexOf(address account) external view returns (uint256) {
        return _indexOf(account);
    }

    /// @inheritdoc ITradeFL
    function creditOf(address account) external view returns (uint256) {
        Slot storage slot = _slots[_indexOf(account)];
        return slot.withdrawn ? 0 : _owed(slot);
    }

    /// @inheritdoc ITradeFL
    function attestationDigest(address account, uint32 dataPpb, uint64 cpuHz) public view returns (bytes32) {
        // The chain id is read at each call: a signature for one branch of a fork is worth nothing on the other.
        bytes32 domain =
            keccak256(abi.encode(_DOMAIN_TYPEHASH, _NAME_HASH, _VERSION_HASH, block.chainid, address(this)));
        bytes32 contents = keccak256(abi.encode(_CONTRIBUTION_TYPEHASH, account, dataPpb, cpuHz));
        return keccak256(abi.encodePacked(hex"1901", domain, contents));
    }

    // --- steps ---------------------------------------------------------------------------------------------------

    /// @dev Reads one entry of the list and returns where the next one starts.
    function _list(uint256 index, bytes calldata data, uint256 offset) private returns (uint256) {
        Slot storage slot = _slots[index];
        address account = address(uint160(_read(data, offset, 20)));
        slot.account = account;
        slot.dataBits = uint64(_read(data, offset + 20, 8));
        uint256 levels = _read(data, offset + 28, 1);
        offset += 29;
        if (
            account == address(0) || _places[account] != 0 || slot.dataBits == 0 || levels == 0
                || levels > MAX_LEVELS
        ) revert MalformedOrganization(index);
        _places[account] = index + 1;
        uint64 level = 0;
        for (uint256 k = 0; k < levels; ++k) {
            uint64 next = uint64(_read(data, offset, 8));
            if (next <= level) revert MalformedOrganization(index);
            slot.levels.push(next);
            level = next;
            offset += 8;
        }
        emit OrganizationListed(index, account, slot.dataBits, slot.levels);
        offset = _listTerms(index, slot.dataBits, level, data, offset);
        slot.score = _silence(index);
        return offset;
    }

    function _openJoiningWhenPublished() private {
        if (_annexIsPublished && _published == _allBlocks()) {
            _phase = Phase.Joining;
            emit JoiningOpened(_JOIN_DEADLINE);
        }
    }

    // --- what the steps ask --------------------------------------------------------------------------------------

    function _requirePhase(Phase wanted) private view {
        if (_phase != wanted) revert WrongPhase(_phase);
    }

    function _requireAfter(uint256 deadline) private view {
        if (block.timestamp <= deadline) revert TooEarly(deadline);
    }

    function _requireNotAfter(uint256 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
    }

    /// @dev Reverts unless these are the bytes of that block of the pairs; returns the block's bit.
    function _requireBlock(uint256 blockIndex, bytes calldata data) private view returns (uint256 bit) {
        if (blockIndex >= _pairBlocks.length) revert UnexpectedBlock(blockIndex);
        _requireHash(_pairBlocks[blockIndex], data);
        return 1 << blockIndex;
    }

    /// @dev Returns the score of a feasible report: d in [D_min, 1], f one of the organization's levels.
    function _scoreOf(uint256 index, uint32 dataPpb, uint64 cpuHz) private view returns (int128) {
        if (dataPpb < _MIN_DATA_PPB || dataPpb > TradeMath.PPB) revert DataFractionOutOfRange(dataPpb);
        Slot storage slot = _slots[index];
        uint256 count = slot.levels.length;
        uint256 k = 0;
        while (k < count && slot.levels[k] != cpuHz) ++k;
        if (k == count) revert UnknownLevel(cpuHz);
        return _score(index, slot.dataBits, dataPpb, cpuHz);
    }

    /// @dev Reverts unless the account is listed.
    function _indexOf(address account) private view returns (uint256) {
        uint256 place = _places[account];
        if (place == 0) revert NotListed(account);
        return place - 1;
    }

    /// @dev What an organization that has not withdrawn is owed in this phase.
    function _owed(Slot storage slot) private view returns (uint256) {
        if (_phase == Phase.Settled) return _credited(slot);
        return _phase == Phase.Cancelled ? slot.deposit : 0;
    }

    /// @dev deposit + R; reverts if it were negative, which the bond rules out.
    function _credited(Slot storage slot) private view returns (uint256) {
        return (int256(uint256(slot.deposit)) + slot.redistribution).toUint256();
    }

    /// @dev A bit for every block of the pairs.
    function _allBlocks() private view returns (uint256) {
        return (1 << _pairBlocks.length) - 1;
    }

    function _secondsFromNow(uint256 duration) private view returns (uint40) {
        return (block.timestamp + duration).toUint40();
    }

    function _requireHash(bytes32 expected, bytes calldata data) private pure {
        bytes32 actual = keccak256(data);
        if (actual != expected) revert HashMismatch(expected, actual);
    }

    // --- what a rule may use -------------------------------------------------------------------------------------

    /// @dev Returns the score with which an organization enters its payments.
    function _scoreAt(uint256 index) internal view returns (int128) {
        return _slots[index].score;
    }

    function _requireRange(string memory term, uint256 value, uint256 least, uint256 most) internal pure {
        if (value < least || value > most) revert TermOutOfRange(term, value);
    }

    /// @dev Returns a big-endian number of `length` bytes.
    function _read(bytes calldata data, uint256 offset, uint256 length) internal pure returns (uint256) {
        if (offset + length > data.length) revert MalformedBlock(data.length);
        return uint256(bytes32(data[offset:offset + length])) >> (256 - 8 * length);
    }

    // --- what a rule provides ------------------------------------------------------------------------------------

    /// @notice Reads what the rule adds to an organization's entry.
    /// @param index its place
    /// @param dataBits s_i, bit
    /// @param fastest its highest level, Hz
    /// @param data the block of the list
    /// @param offset where the addition starts
    /// @return where the next entry starts
    function _listTerms(uint256 index, uint64 dataBits, uint64 fastest, bytes calldata data, uint256 offset)
        internal
        virtual
        returns (uint256);

    /// @notice Adds a block of pairs to what {_bond} follows from; the block has the right bytes and length.
    /// @param firstPair the place of its first pair
    /// @param data its bytes
    function _weigh(uint256 firstPair, bytes calldata data) internal virtual;

    /// @notice Returns the score of silence: the least of all.
    /// @param index whose
    /// @return in the rule's unit
    function _silence(uint256 index) internal view virtual returns (int128);

    /// @notice Returns the highest score that an organization can reach.
    /// @param index whose
    /// @return in the rule's unit
    function _cap(uint256 index) internal view virtual returns (int128);

    /// @notice Returns the score of a feasible report.
    /// @param index whose
    /// @param dataBits s_i, bit
    /// @param dataPpb d_i, ppb
    /// @param cpuHz f_i, Hz
    /// @return in the rule's unit; at least {_silence}, at most {_cap}
    function _score(uint256 index, uint64 dataBits, uint32 dataPpb, uint64 cpuHz)
        internal
        view
        virtual
        returns (int128);

    /// @notice Returns the most that an organization could owe: with the score of silence, against all others at their
    /// highest.
    /// @param index whose
    /// @return wei
    function _bond(uint256 index) internal view virtual returns (uint256);

    /// @notice Adds the payments of a block of pairs to both sides of each, from {_scoreAt}.
    /// @param r R of every organization, wei; changed in place
    /// @param firstPair the place of the block's first pair
    /// @param data its bytes
    function _redistribute(int256[] memory r, uint256 firstPair, bytes calldata data) internal view virtual;

    /// @notice Returns the agreement hash. It binds the rule: no two rules share one.
    /// @param terms_ what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param pairBlocks keccak256 of each block of what the rule knows of each pair
    /// @return the hash
    function _hash(Terms memory terms_, bytes32[] memory organizationBlocks, bytes32[] memory pairBlocks)
        internal
        pure
        virtual
        returns (bytes32);

    /// @notice Returns how the lists are cut into blocks; only the last block of each may hold fewer.
    /// @return organizations how many organizations make a block
    /// @return pairs how many pairs make a block
    /// @return pairBytes how many bytes a pair takes
    function _layout() internal pure virtual returns (uint256 organizations, uint256 pairs, uint256 pairBytes);
}
