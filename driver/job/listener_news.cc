#include "driver/job/listener_news.h"

#include <utility>

namespace sluice {

int64_t ListenerNews::WallMs(MonotonicTime time) const {
  if (time == 0) return -1;
  return clock_->WallMs() - (clock_->MonotonicUs() - time) / 1000;
}

void ListenerNews::Tell(const BatchNews& news) {
  if (bus_ == nullptr) return;
  BatchInfo info;
  info.time_ms = news.batch_ms;
  info.records = news.records;
  for (const BatchNews::Input& input : news.inputs) {
    info.inputs.push_back({graph_->node(input.node).source.stream, input.records, input.files,
                           input.file_bytes});
  }
  info.submission_ms = WallMs(news.submitted);
  info.processing_start_ms = WallMs(news.started);
  info.processing_end_ms = WallMs(news.ended);
  info.failure = news.failure;
  info.letters = news.letters;
  bus_->Post([what = news.what, info = std::move(info)](StreamingListener& listener) {
    switch (what) {
      case BatchNews::What::kSubmitted: return listener.OnBatchSubmitted(info);
      case BatchNews::What::kStarted: return listener.OnBatchStarted(info);
      case BatchNews::What::kCompleted: return listener.OnBatchCompleted(info);
    }
  });
}

void ListenerNews::Tell(const OutputNews& news) {
  if (bus_ == nullptr) return;
  const OutputOperationInfo info{news.batch_ms,         news.output,
                                 graph_->outputs().at(news.output).label,
                                 WallMs(news.started),  WallMs(news.ended),
                                 news.failure};
  bus_->Post([completed = news.completed, info](StreamingListener& listener) {
    return completed ? listener.OnOutputOperationCompleted(info)
                     : listener.OnOutputOperationStarted(info);
  });
}

void ListenerNews::Tell(const ReceiverNews& news) {
  if (bus_ == nullptr || news.stream >= graph_->nodes().size()) return;
  const ReceiverInfo info{graph_->node(news.stream).source.stream, news.worker, news.text};
  bus_->Post([what = news.what, info](StreamingListener& listener) {
    switch (what) {
      case ReceiverNews::What::kStarted: return listener.OnReceiverStarted(info);
      case ReceiverNews::What::kError: return listener.OnReceiverError(info);
      case ReceiverNews::What::kStopped: return listener.OnReceiverStopped(info);
    }
  });
}

}  // namespace sluice
