#include "driver/job/producer_desk.h"

#include "absl/strings/str_cat.h"

namespace sluice {

ProducerDesk::ProducerDesk(const JobDriverOptions& options, const LineageGraph& graph,
                           JobState* state, LogQueue* log)
    : options_(options), state_(state), log_(log) {
  for (const Node& node : graph.nodes()) {
    const bool pushed = node.kind == NodeKind::kSource && node.source.kind == SourceKind::kPush;
    if (pushed) push_streams_.insert(node.id);
  }
}

void ProducerDesk::OnQuery(const std::string& from, const proto::ProducerQuery& query,
                           std::vector<DriverCommand>& out) {
  Send send{from, {}};
  auto& answer = *send.message.mutable_producer_answer();
  answer.set_stream(query.stream());
  answer.set_producer(query.producer());
  answer.set_last(state_->LastOfProducer(query.stream(), query.producer()));
  answer.set_incarnation(query.incarnation());
  answer.set_job_instance(query.job_instance());
  const bool full = push_streams_.contains(query.stream()) &&
                    state_->ProducersOf(query.stream()) >= options_.push_producers_max;
  if (full && answer.last() == 0) {
    answer.set_refused(absl::StrCat("the stream has had ", options_.push_producers_max,
                                    " producers of late, the most that it may know "
                                    "(push_producers_max), and takes no new one; go on under an "
                                    "id that it knows"));
  }
  log_->AfterDurable(std::move(send));
  log_->TakeDue(out);
}

void ProducerDesk::OnSealed() {
  proto::Entry entry;
  auto& quiet = *entry.mutable_producers_forgotten();
  quiet.mutable_streams()->Add(push_streams_.begin(), push_streams_.end());
  quiet.set_heard_ms(state_->ran_ms() - options_.push_producer_expiry_ms);
  if (quiet.heard_ms() >= 0 && state_->AnyQuiet(quiet)) log_->Enqueue(std::move(entry));
}

}  // namespace sluice
