#include "worker/executor/task_input.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "worker/executor/file_records.h"

namespace sluice {
namespace {

constexpr int kPiecesDescribed = 4;

}  // namespace

std::string Describe(const proto::InputPiece& piece) {
  if (piece.has_block()) {
    const auto& name = piece.block().name();
    return absl::StrCat("block ", name.number(), " of stream ", name.stream());
  }
  if (piece.has_file()) {
    return absl::StrCat(piece.file().path(), " bytes ", piece.file().begin(), " to ",
                        piece.file().end());
  }
  return "records of the plan";
}

std::string DescribePieces(const proto::GrantedBatch::Task& task) {
  std::string text;
  for (int i = 0; i < task.pieces_size() && i < kPiecesDescribed; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", Describe(task.pieces(i)));
  }
  if (task.pieces_size() > kPiecesDescribed) {
    absl::StrAppend(&text, " and ", task.pieces_size() - kPiecesDescribed, " more");
  }
  return text;
}

void TaskInputReader::Clear() {
  views_.clear();
  pieces_.clear();
  blocks_.clear();
  owned_.clear();
  scratch_used_ = 0;
  records_ = 0;
  file_bytes_ = 0;
}

absl::Status TaskInputReader::ReadPieces(const proto::GrantedBatch::Task& task,
                                         const Node& source, BlockReader* blocks) {
  Clear();
  static const proto::GrantedBatch::Holders kNobody;
  for (int i = 0; i < task.pieces_size(); ++i) {
    const proto::InputPiece& piece = task.pieces(i);
    const auto& holders = i < task.holders_size() ? task.holders(i) : kNobody;
    if (piece.has_block()) {
      RETURN_IF_ERROR(ReadBlock(piece.block(), holders, blocks));
    } else if (piece.has_file()) {
      std::deque<RecordBatch> records;
      RETURN_IF_ERROR(ReadFileRecords(source, piece.file(), records));
      AddOwned(records);
      file_bytes_ += piece.file().end() - piece.file().begin();
    } else if (piece.has_inlined()) {
      RETURN_IF_ERROR(
          AddEncoded(piece.inlined().batch(), piece.inlined().records(), Describe(piece)));
    } else if (piece.has_constant()) {
      std::deque<RecordBatch> records;
      RETURN_IF_ERROR(ReadConstantRecords(source, piece.constant(), records));
      AddOwned(records);
    }
    pieces_.resize(views_.size(), i);
  }
  return absl::OkStatus();
}

absl::Status TaskInputReader::ReadBlock(const proto::BlockInfo& block,
                                        const proto::GrantedBatch::Holders& holders,
                                        BlockReader* blocks) {
  auto bytes = blocks->Read(block, holders);
  if (!bytes.ok()) return absl::UnavailableError(bytes.status().message());
  blocks_.push_back(*std::move(bytes));
  return AddEncoded(blocks_.back()->bytes(), block.records(),
                    absl::StrCat("block ", block.name().number()));
}

void TaskInputReader::AddOwned(std::deque<RecordBatch>& batches) {
  for (RecordBatch& batch : batches) {
    records_ += batch.count();
    owned_.push_back(std::move(batch));
    views_.push_back(owned_.back().view());
  }
}

absl::Status TaskInputReader::AddEncoded(std::string_view encoded, uint64_t records,
                                         const std::string& what) {
  if (scratch_used_ == scratch_.size()) scratch_.emplace_back();
  const auto view = DecodeBatch(encoded, scratch_[scratch_used_++]);
  if (!view.has_value()) return absl::DataLossError(what + " is no record batch");
  if (view->count != records) {
    return absl::DataLossError(absl::StrCat(what, " has ", view->count, " records, not ", records));
  }
  records_ += records;
  views_.push_back(*view);
  return absl::OkStatus();
}

absl::Status TaskInputReader::ReadShares(
    std::span<const proto::ShareBundle::Share* const> shares) {
  Clear();
  for (const auto* share : shares) {
    RETURN_IF_ERROR(AddEncoded(share->batch(), share->records(),
                               absl::StrCat("share of edge ", share->edge(), " task ",
                                            share->task())));
  }
  return absl::OkStatus();
}

absl::Status TaskInputReader::Add(const proto::LetterInput& letter) {
  return AddEncoded(letter.records().batch(), letter.records().records(),
                    absl::StrCat("letter ", letter.letter_batch_ms(), "-",
                                 letter.letter_number()));
}

}  // namespace sluice
