// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement} from "./ISettlement.sol";
import {ITradeFL} from "./ITradeFL.sol";
import {IVault} from "./IVault.sol";
import {TradeMath} from "./TradeMath.sol";

/// @title The settlement of one agreement, whatever the rule of its payments.
/// @author The TradeFL developers
/// @notice Holds the life of a settlement, its windows and its accounts; the money itself lies in a {Vault}, to which
/// this contract says once how it is divided. What a rule adds is behind the functions at the end: how a report becomes
/// a score, and how scores become payments. {TradeFL} and {TradeFLEfficient} are the two rules.
///
/// The life of a settlement:
///
///   Drafting ── published ──> Joining ── all deposits in ──> Open ── window over ──> Recorded ── windows over,
///                                └── window over ──> Cancelled <── all consent ──┐   calculated ──> Calculated
///                                                                   until Settled ┘                └──> Settled
///
/// Windows end in two steps, see {ITradeFL}: time first, then a number of blocks. A halted chain uses up
/// time, but no blocks; so however long it stood still, whoever acts once it runs again is not too late.
///
/// Who is trusted for what
/// - the deployer: nothing. It has no rights; the agreement is fixed by its hash, and whoever deposits names that hash.
/// - a stranger: nothing. Calls that anyone may make only carry on what is due, with bytes that the agreement fixes.
/// - the verifier (optional): that the contributions it signs were made, and that it signs those that were: who gets no
///   signature counts as silent. Without a verifier, reports are taken as they come.
/// - the arbiter (optional): its rulings on disputed reports, within the organization's own range. It can raise
///   nobody's bill above the bond and the stake, and touch no money. Without one, reports are final.
/// - block producers: block time to within seconds, and that nobody is kept out for a whole window, its last blocks
///   included.
///
/// What holds whatever anybody does
/// - the R_i add up to exactly zero, because each pair is computed once and enters with both signs; so do the stakes;
/// - a deposit covers the worst case, so nobody can be short: bonds follow from the agreement itself, by the rule, and
///   a stake is taken only from what is beyond the bond;
/// - nobody who is silent or refuses a call can stop the others: every phase ends by calls that anyone can make;
/// - all members together can stop it in any phase, and have everything back;
/// - no money is here; it leaves the vault by the owner's own call alone.
///
/// Known limits: whoever reports late has seen the earlier reports (a verifier takes the use out of that); deadlines
/// follow block time; an account that cannot receive ether must name another that can.
abstract contract Settlement is ITradeFL {
    using SafeCast for uint256;
    using SafeCast for int256;

    /// @dev One organization. Five slots and its levels; the first is all that a phase change needs to read. The fourth
    /// and the fifth stay empty until there is an attestation or a dispute.
    struct Slot {
        address account;
        uint64 dataBits;
        bool reported;
        bool ruled;
        bool withdrawn;
        bool staked; // stakes may differ from 0: spares the payoff the reading of a slot
        uint112 deposit; // wei
        int128 redistribution; // R, wei; |R| < 2^10 2^112
        bool joined; // here, it keeps the slot from being zero when R comes, which would make that dear
        bool consented;
        int128 score; // that of its report; until then, and if it stays silent, that of silence
        uint64 cpuHz;
        uint32 dataPpb;
        address disputedBy;
        uint64 serial;
        int128 stakes; // won less lost, wei, without its share of {_shared}; |stakes| < 2^10 2^112
        uint112 forfeited; // lost, wei; never part of the bond
        uint16 raised; // disputes: each locks a stake
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
    bytes32 private constant _CONTRIBUTION_TYPEHASH = keccak256(
        "Contribution(address organization,uint32 dataPpb,uint64 cpuHz,uint64 serial,uint64 expiry)"
    );

    /// @dev One bit for each block of the pairs: they must fit into a word.
    uint256 private constant _MAX_PAIR_BLOCKS = 256;

    IVault private immutable _VAULT;
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
    uint32 private immutable _REPORT_SECONDS;
    uint32 private immutable _DISPUTE_SECONDS;
    uint32 private immutable _RULING_SECONDS;
    uint32 private immutable _CLOSING_BLOCKS;
    uint128 private immutable _DISPUTE_STAKE;
    uint16 private immutable _ORGANIZATIONS_PER_BLOCK;
    uint32 private immutable _PAIRS_PER_BLOCK;

    // One slot: the phase of the settlement.
    Phase private _phase;
    bool private _annexIsPublished;
    uint16 private _listed;
    uint16 private _joined;
    uint16 private _reported;
    uint16 private _openDisputes;
    uint16 private _consents;
    uint40 private _closedAt; // block of windowClose in this phase's window; 0: not closing
    uint40 private _reportDeadline;
    uint40 private _disputeDeadline;
    uint40 private _rulingDeadline; // 0 until the window for rulings opens

    // One slot, which few calls read.
    uint40 private _joinDeadline;
    /// @dev What every organization has of the stakes of those who disputed their own silence, wei.
    int128 private _shared;
    uint32 private _proposals; // shows whether a log is complete

    /// @dev Bit b: block b of the pairs.
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

    modifier onlyVault() {
        _requireVault();
        _;
    }

    /// @notice Drafts a settlement; the lists are published afterwards, by anyone who has them.
    /// @param vault_ what will hold the money
    /// @param terms_ what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param pairBlocks keccak256 of each block of what the rule knows of each pair
    constructor(
        address vault_,
        Terms memory terms_,
        bytes32[] memory organizationBlocks,
        bytes32[] memory pairBlocks
    ) {
        _requireRange("size", terms_.size, 2, MAX_SIZE);
        _requireRange("minDataPpb", terms_.minDataPpb, 1, TradeMath.PPB);
        _requireRange("weiPerPayoff", terms_.weiPerPayoff, 1, type(uint128).max);
        _requireRange("joinSeconds", terms_.joinSeconds, 1, type(uint32).max);
        _requireRange("reportSeconds", terms_.reportSeconds, 1, type(uint32).max);
        _requireRange("disputeSeconds", terms_.disputeSeconds, 1, type(uint32).max);
        _requireRange("rulingSeconds", terms_.rulingSeconds, 1, type(uint32).max);
        _requireRange("closingBlocks", terms_.closingBlocks, 1, type(uint32).max);
        _requireRange(
            "disputeStakeWei", terms_.disputeStakeWei, 0, terms_.arbiter == address(0) ? 0 : MAX_DEPOSIT
        );
        _requireRange("token", uint160(terms_.token), 0, 0);
        _requireRange("spotAuditPpb", terms_.spotAuditPpb, 0, 0);
        _requireRange("organizationsPerBlock", terms_.organizationsPerBlock, 1, type(uint16).max);
        uint256 blocks = Math.ceilDiv(terms_.size, terms_.organizationsPerBlock);
        _requireRange("organizationBlocks", organizationBlocks.length, blocks, blocks);
        uint256 pairs = TradeMath.pairs(terms_.size);
        _requireRange(
            "pairsPerBlock", terms_.pairsPerBlock, Math.ceilDiv(pairs, _MAX_PAIR_BLOCKS), type(uint32).max
        );
        blocks = Math.ceilDiv(pairs, terms_.pairsPerBlock);
        _requireRange("pairBlocks", pairBlocks.length, blocks, blocks);

        _VAULT = IVault(vault_);
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
        _CLOSING_BLOCKS = terms_.closingBlocks;
        _DISPUTE_STAKE = terms_.disputeStakeWei;
        _ORGANIZATIONS_PER_BLOCK = terms_.organizationsPerBlock;
        _PAIRS_PER_BLOCK = terms_.pairsPerBlock;
        _organizationBlocks = organizationBlocks;
        _pairBlocks = pairBlocks;
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
        uint256 perBlock = _ORGANIZATIONS_PER_BLOCK;
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
        uint256 first = blockIndex * _PAIRS_PER_BLOCK;
        uint256 pairs = Math.min(TradeMath.pairs(_SIZE) - first, _PAIRS_PER_BLOCK);
        if (data.length != pairs * _pairBytes()) revert MalformedBlock(data.length);
        _published |= bit;
        _weigh(first, data);
        emit PairsPublished(blockIndex, data);
        _openJoiningWhenPublished();
    }

    // --- Joining -------------------------------------------------------------------------------------------------

    /// @inheritdoc ISettlement
    function depositAccept(address account, uint256 amount, bytes32 expectedHash)
        external
        onlyVault
        onlyIn(Phase.Joining)
    {
        _requireWindowOpen();
        if (expectedHash != _AGREEMENT_HASH) revert HashMismatch(_AGREEMENT_HASH, expectedHash);
        uint256 index = _indexOf(account);
        Slot storage slot = _slots[index];
        if (slot.joined) revert AlreadyJoined(account);
        uint256 least = _bond(index) + _DISPUTE_STAKE; // the stake is 0 without an arbiter
        if (amount < least) revert DepositBelowBond(least, amount);
        if (amount > MAX_DEPOSIT) revert DepositAboveLimit(MAX_DEPOSIT, amount);
        slot.joined = true;
        slot.deposit = amount.toUint112();
        ++_joined;
        emit DepositSubmitted(account, amount);
        if (_joined == 1) {
            _joinDeadline = _secondsFromNow(_JOIN_SECONDS);
            emit JoinDeadlineSet(_joinDeadline);
        }
        if (_joined == _SIZE) {
            _phase = Phase.Open;
            _closedAt = 0;
            _reportDeadline = _secondsFromNow(_REPORT_SECONDS);
            emit ReportingOpened(_reportDeadline);
        }
    }

    /// @inheritdoc ITradeFL
    function cancel() external onlyIn(Phase.Joining) {
        _requireWindowOver();
        _cancel();
    }

    /// @inheritdoc ITradeFL
    function propose(uint32 dataPpb, uint64 cpuHz) external {
        if (_phase != Phase.Joining && _phase != Phase.Open) revert WrongPhase(_phase);
        _scoreOf(_indexOf(msg.sender), dataPpb, cpuHz); // reverts unless it is feasible
        ++_proposals;
        emit Proposed(msg.sender, dataPpb, cpuHz);
    }

    // --- Open ----------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function contributionSubmit(
        address account,
        uint32 dataPpb,
        uint64 cpuHz,
        uint64 serial,
        uint64 expiry,
        bytes32 statement,
        bytes calldata attestation
    ) external onlyIn(Phase.Open) {
        _requireWindowOpen();
        uint256 index = _indexOf(account);
        Slot storage slot = _slots[index];
        if (msg.sender != account && (_VERIFIER == address(0) || statement != bytes32(0))) {
            revert NotOrganization(msg.sender);
        }
        if (slot.reported) {
            if (_VERIFIER == address(0)) revert AlreadyReported(account);
            if (serial <= slot.serial) revert StaleSerial(slot.serial, serial);
        } else {
            slot.reported = true;
            ++_reported;
        }
        if (_VERIFIER == address(0)) {
            if (serial != 0 || expiry != 0 || attestation.length != 0) revert InvalidAttestation();
        } else {
            if (expiry != 0 && block.timestamp > expiry) revert AttestationExpired(expiry);
            _requireSigned(attestationDigest(account, dataPpb, cpuHz, serial, expiry), attestation);
            slot.serial = serial;
        }
        int128 score = _scoreOf(index, dataPpb, cpuHz);
        (slot.dataPpb, slot.cpuHz, slot.score) = (dataPpb, cpuHz, score);
        emit ContributionSubmitted(account, dataPpb, cpuHz, serial, score, statement);
    }

    /// @inheritdoc ITradeFL
    function profileRecord() external onlyIn(Phase.Open) {
        _requireWindowOver();
        _phase = Phase.Recorded;
        _closedAt = 0;
        // Without an arbiter nobody could rule, so nobody waits for it.
        if (_ARBITER != address(0)) _disputeDeadline = _secondsFromNow(_DISPUTE_SECONDS);

        uint32[] memory dataPpb = new uint32[](_SIZE);
        uint64[] memory cpuHz = new uint64[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            (dataPpb[i], cpuHz[i]) = (_slots[i].dataPpb, _slots[i].cpuHz);
        }
        emit ProfileRecorded(dataPpb, cpuHz, _disputeDeadline);
    }

    // --- Recorded ------------------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function disputeRaise(address accused) external onlyIn(Phase.Recorded) {
        if (_ARBITER == address(0)) revert NoArbiter();
        if (_rulingDeadline != 0) revert WindowOver();
        _requireWindowOpen();
        uint256 index = _indexOf(msg.sender);
        Slot storage raiser = _slots[index];
        Slot storage slot = _slots[_indexOf(accused)];
        if (accused == msg.sender && slot.reported) revert OwnReport(accused);
        if (slot.disputedBy != address(0)) revert AlreadyDisputed(accused);
        // Nothing is forfeited yet: rulings begin when this window is over.
        uint256 free = raiser.deposit - _bond(index) - uint256(raiser.raised) * _DISPUTE_STAKE;
        if (free < _DISPUTE_STAKE) revert StakeMissing(_DISPUTE_STAKE, free);
        ++raiser.raised;
        slot.disputedBy = msg.sender;
        ++_openDisputes;
        emit DisputeRaised(msg.sender, accused);
    }

    /// @inheritdoc ITradeFL
    function rule(address accused, uint32 dataPpb, uint64 cpuHz) external onlyIn(Phase.Recorded) {
        if (msg.sender != _ARBITER) revert NotArbiter(msg.sender);
        // Not before everybody has had the time to dispute: a ruling ends what can be said about a report.
        if (_rulingDeadline == 0) _openRuling();
        _requireWindowOpen();
        uint256 index = _indexOf(accused);
        Slot storage slot = _slots[index];
        if (slot.disputedBy == address(0) || slot.ruled) revert NotDisputed(accused);
        int128 score = dataPpb == 0 && cpuHz == 0 ? _silence(index) : _scoreOf(index, dataPpb, cpuHz);
        address loser = address(0);
        uint256 forfeit = 0;
        if (score < slot.score) {
            (loser, forfeit) = (accused, _forfeit(accused, slot.disputedBy));
        } else if (dataPpb == slot.dataPpb && cpuHz == slot.cpuHz) {
            (loser, forfeit) = (slot.disputedBy, _forfeit(slot.disputedBy, accused));
        }
        slot.ruled = true;
        (slot.dataPpb, slot.cpuHz, slot.score) = (dataPpb, cpuHz, score);
        --_openDisputes;
        emit DisputeRuled(accused, dataPpb, cpuHz, score, loser, forfeit);
    }

    /// @inheritdoc ITradeFL
    function payoffCalculate(uint256 blockIndex, bytes calldata data) external {
        // A late caller finds the block done, and that is no error.
        if (_phase != Phase.Recorded && _phase != Phase.Calculated) revert WrongPhase(_phase);
        uint256 bit = _requireBlock(blockIndex, data);
        if (_calculated & bit != 0) return;
        _requireReportsFinal();
        _calculated |= bit;

        int256[] memory r = new int256[](_SIZE);
        _redistribute(r, blockIndex * _PAIRS_PER_BLOCK, data);
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
        address[] memory accounts = new address[](_SIZE);
        int256[] memory deltas = new int256[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            Slot storage slot = _slots[i];
            // Each is read once: with stakes to read for everybody, the largest size just fits into a transaction.
            (address account, uint256 deposit) = (slot.account, slot.deposit);
            (int256 redistribution, int256 stakes) = (slot.redistribution, _stakesOf(slot));
            (accounts[i], deltas[i]) = (account, redistribution + stakes);
            emit PayoffTransferred(
                account, deposit, redistribution, stakes, _credited(deposit, redistribution + stakes)
            );
        }
        emit SettlementCompleted();
        _VAULT.settle(accounts, deltas);
    }

    // --- Settled or Cancelled ------------------------------------------------------------------------------------

    /// @inheritdoc ISettlement
    function withdrawalRecord(address account, address to, uint256 amount) external onlyVault {
        _slots[_indexOf(account)].withdrawn = true;
        emit Withdrawn(account, to, amount);
    }

    // --- in several phases ---------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function windowClose() external {
        uint256 deadline = 0;
        if (_phase == Phase.Joining) {
            deadline = _joinDeadline;
            // slither-disable-next-line incorrect-equality
            if (deadline == 0) revert WindowOpen(); // nobody has deposited, so nobody waits
        } else if (_phase == Phase.Open) {
            if (_reported != _SIZE) deadline = _reportDeadline;
        } else if (_phase == Phase.Recorded && _ARBITER != address(0)) {
            deadline = _rulingDeadline;
            // slither-disable-next-line incorrect-equality
            if (deadline == 0) {
                if (_openDisputes != 0 && _windowIsOver()) return _openRuling();
                deadline = _disputeDeadline;
            }
        } else {
            revert WrongPhase(_phase);
        }
        if (_closedAt != 0) revert AlreadyClosing();
        if (block.timestamp <= deadline) revert TooEarly(deadline);
        _closedAt = block.number.toUint40();
        emit WindowClosing(_phase, _lastBlock());
    }

    /// @inheritdoc ITradeFL
    function consent() external {
        if (_phase == Phase.Drafting || _phase > Phase.Calculated) revert WrongPhase(_phase);
        Slot storage slot = _slots[_indexOf(msg.sender)];
        if (slot.consented) revert AlreadyConsented(msg.sender);
        slot.consented = true;
        ++_consents;
        emit ConsentGiven(msg.sender);
        if (_consents == _SIZE) _cancel();
    }

    // --- what anyone may read ------------------------------------------------------------------------------------

    /// @inheritdoc ITradeFL
    function agreementHash() external view returns (bytes32) {
        return _AGREEMENT_HASH;
    }

    /// @inheritdoc ITradeFL
    function vault() external view returns (address) {
        return address(_VAULT);
    }

    /// @inheritdoc ITradeFL
    function terms() external view returns (Terms memory) {
        return Terms({
            size: _SIZE.toUint16(),
            gamma: _GAMMA,
            lambdaPpb: _LAMBDA_PPB,
            minDataPpb: _MIN_DATA_PPB,
            weiPerPayoff: _WEI_PER_PAYOFF,
            token: address(0),
            verifier: _VERIFIER,
            arbiter: _ARBITER,
            joinSeconds: _JOIN_SECONDS,
            reportSeconds: _REPORT_SECONDS,
            disputeSeconds: _DISPUTE_SECONDS,
            rulingSeconds: _RULING_SECONDS,
            closingBlocks: _CLOSING_BLOCKS,
            disputeStakeWei: _DISPUTE_STAKE,
            spotAuditPpb: 0,
            organizationsPerBlock: _ORGANIZATIONS_PER_BLOCK,
            pairsPerBlock: _PAIRS_PER_BLOCK,
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
        return (_joinDeadline, _reportDeadline, _disputeDeadline, _rulingDeadline);
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
            uint256 calculated,
            uint256 closedAt,
            uint256 consents,
            bool rulingBegun,
            uint256 proposals
        )
    {
        (annexIsPublished, listed, published, joined) = (_annexIsPublished, _listed, _published, _joined);
        (reported, openDisputes, calculated) = (_reported, _openDisputes, _calculated);
        (closedAt, consents, rulingBegun, proposals) =
        (_closedAt, _consents, _rulingDeadline != 0, _proposals);
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
            serial: slot.serial,
            score: slot.score,
            disputed: slot.disputedBy != address(0),
            disputedBy: slot.disputedBy,
            ruled: slot.ruled,
            redistribution: slot.redistribution,
            stakes: _stakesOf(slot),
            consented: slot.consented,
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
        if (slot.withdrawn) return 0;
        if (_phase == Phase.Cancelled) return slot.deposit;
        return _phase == Phase.Settled ? _credited(slot.deposit, slot.redistribution + _stakesOf(slot)) : 0;
    }

    /// @inheritdoc ITradeFL
    function attestationDigest(address account, uint32 dataPpb, uint64 cpuHz, uint64 serial, uint64 expiry)
        public
        view
        returns (bytes32)
    {
        // The chain id is read at each call: a signature for one branch of a fork is worth nothing on the other.
        bytes32 domain =
            keccak256(abi.encode(_DOMAIN_TYPEHASH, _NAME_HASH, _VERSION_HASH, block.chainid, address(this)));
        bytes32 contents =
            keccak256(abi.encode(_CONTRIBUTION_TYPEHASH, account, dataPpb, cpuHz, serial, expiry));
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
            emit JoiningOpened();
        }
    }

    /// @dev Ends the settlement: in the vault, everybody has what it brought.
    function _cancel() private {
        _phase = Phase.Cancelled;
        emit SettlementCancelled();
        _VAULT.settle(new address[](0), new int256[](0));
    }

    /// @dev Ends the window for disputes and opens that for rulings.
    function _openRuling() private {
        _requireWindowOver();
        _closedAt = 0;
        _rulingDeadline = _secondsFromNow(_RULING_SECONDS);
        emit RulingOpened(_rulingDeadline);
    }

    /// @dev Moves the loser's stake, or what it has left beyond its bond, to the winner; to all others when it has lost
    /// against itself. Returns how much that is.
    function _forfeit(address loser, address winner) private returns (uint256 forfeit) {
        uint256 index = _indexOf(loser);
        Slot storage slot = _slots[index];
        slot.staked = true;
        forfeit = Math.min(_DISPUTE_STAKE, slot.deposit - _bond(index) - slot.forfeited);
        if (loser == winner) {
            // Everybody has a share, the loser too, which it pays as well: no loop over all.
            // What the division drops stays with the loser.
            // slither-disable-next-line divide-before-multiply
            uint256 share = forfeit / (_SIZE - 1);
            forfeit = share * (_SIZE - 1);
            _shared += int256(share).toInt128();
            slot.stakes -= int256(share * _SIZE).toInt128();
        } else {
            slot.stakes -= int256(forfeit).toInt128();
            Slot storage other = _slots[_indexOf(winner)];
            other.staked = true;
            other.stakes += int256(forfeit).toInt128();
        }
        slot.forfeited += forfeit.toUint112();
    }

    // --- what the steps ask --------------------------------------------------------------------------------------

    function _requirePhase(Phase wanted) private view {
        if (_phase != wanted) revert WrongPhase(_phase);
    }

    function _requireVault() private view {
        if (msg.sender != address(_VAULT)) revert NotVault(msg.sender);
    }

    /// @dev The last block in which a closing window is open.
    function _lastBlock() private view returns (uint256) {
        return uint256(_closedAt) + _CLOSING_BLOCKS;
    }

    function _windowIsOver() private view returns (bool) {
        return _closedAt != 0 && block.number > _lastBlock();
    }

    function _requireWindowOver() private view {
        if (!_windowIsOver()) revert WindowOpen();
    }

    function _requireWindowOpen() private view {
        if (_windowIsOver()) revert WindowOver();
    }

    /// @dev Reverts while a report may still be disputed or corrected.
    function _requireReportsFinal() private view {
        if (_ARBITER == address(0)) return;
        bool ruling = _rulingDeadline != 0; // the window for rulings, or still that for disputes
        if (_openDisputes == 0 && ruling) return;
        if (_openDisputes != 0 && !ruling) revert WindowOpen();
        _requireWindowOver();
    }

    /// @dev Reverts unless the verifier stands behind the digest: a key by its signature, a contract by its word.
    function _requireSigned(bytes32 digest, bytes calldata attestation) private view {
        if (_VERIFIER.code.length == 0) {
            // The third value only describes a malformed signature, which is refused whatever it is.
            // slither-disable-next-line unused-return
            (address signer, ECDSA.RecoverError malformed,) = ECDSA.tryRecover(digest, attestation);
            if (malformed != ECDSA.RecoverError.NoError || signer != _VERIFIER) revert InvalidAttestation();
        } else {
            // slither-disable-start unused-return
            // At most two words of the answer are copied, so an answer of any length costs no more.
            (bool answered, bytes32 word,) = LowLevelCall.staticcallReturn64Bytes(
                _VERIFIER, abi.encodeCall(IERC1271.isValidSignature, (digest, attestation))
            );
            if (
                !answered || LowLevelCall.returnDataSize() < 32
                    || word != bytes32(IERC1271.isValidSignature.selector)
            ) revert InvalidAttestation();
            // slither-disable-end unused-return
        }
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

    /// @dev What an organization has won less what it has lost in stakes, wei.
    function _stakesOf(Slot storage slot) private view returns (int128) {
        return _shared + (slot.staked ? slot.stakes : int128(0));
    }

    /// @dev A bit for every block of the pairs.
    function _allBlocks() private view returns (uint256) {
        return type(uint256).max >> (_MAX_PAIR_BLOCKS - _pairBlocks.length);
    }

    function _secondsFromNow(uint256 duration) private view returns (uint40) {
        return (block.timestamp + duration).toUint40();
    }

    /// @dev deposit + R + stakes; reverts if it were negative, which the bond rules out.
    function _credited(uint256 deposit, int256 delta) private pure returns (uint256) {
        return (int256(deposit) + delta).toUint256();
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

    /// @notice Returns how many bytes hold what the rule knows of one pair.
    /// @return bytes of a pair
    function _pairBytes() internal pure virtual returns (uint256);
}
