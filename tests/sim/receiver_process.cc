#include "tests/sim/receiver_process.h"

#include <utility>

namespace sluice::sim {
namespace {

constexpr int64_t kBeatUs = 50'000;
constexpr int64_t kTickUs = 20'000;
constexpr int kReadyRepeats = 10;

}  // namespace

ReceiverProcess::ReceiverProcess(Site* site, const std::string& host, std::string worker_id,
                                 std::string daemon, proto::StartExecutor request)
    : site_(site),
      worker_id_(std::move(worker_id)),
      daemon_(std::move(daemon)),
      request_(std::move(request)),
      address_(site->world.Attach(host, "-receiver", this)) {
  HeapPoolOptions pool;
  pool.block_records = site->knobs.block_records;
  pool.store_records = site->knobs.block_records;
  pool_ = arena_.NewPool(NewHeapPool(pool));
  ReceiverCore::Options options;
  options.job_instance = request_.job_instance();
  options.daemon = daemon_;
  for (int i = 0; i < request_.streams_size(); ++i) {
    options.streams.push_back({request_.streams(i), request_.incarnations(i)});
  }
  core_ = std::make_unique<ReceiverCore>(options, pool_.get());
  Beat();
  Tick();
  if (stream() == site->plain_stream) TakePlain();
}

ReceiverProcess::~ReceiverProcess() { site_->world.Detach(address_); }

void ReceiverProcess::Beat() {
  proto::Envelope beat;
  auto& attach = *beat.mutable_executor_attach();
  attach.set_job_instance(request_.job_instance());
  attach.set_epoch(request_.epoch());
  attach.set_executor(request_.executor());
  attach.set_link_address(address_);
  attach.set_push_address(address_);
  for (const proto::ReceiverTaken& taken : core_->taken()) *attach.add_taken() = taken;
  site_->world.Send(address_, daemon_, std::move(beat));
  if (!ready_ || readies_left_ > 0) {
    proto::Envelope message;
    if (ready_) {
      --readies_left_;
      auto& ready = *message.mutable_executor_ready();
      ready.set_executor(request_.executor());
      ready.set_binary_digest(request_.binary_digest());
      ready.set_graph_fingerprint(site_->graph->Fingerprint());
    } else {
      auto& hello = *message.mutable_executor_hello();
      hello.set_job_instance(request_.job_instance());
      hello.set_epoch(request_.epoch());
      hello.set_executor(request_.executor());
      hello.set_worker_id(worker_id_);
      hello.set_link_address(address_);
      hello.set_push_address(address_);
    }
    site_->world.Send(address_, request_.job_driver_address(), std::move(message));
  }
  site_->world.After(address_, kBeatUs, [this] { Beat(); });
}

void ReceiverProcess::Tick() {
  Feed(receiver::Tick{});
  site_->world.After(address_, kTickUs, [this] { Tick(); });
}

// What comes by itself, as from a socket.
void ReceiverProcess::TakePlain() {
  if (site_->plain_ended) return;
  receiver::Commands commands;
  for (int64_t left = site_->world.random.Between(0, 3); left > 0; --left) {
    const int64_t now = site_->world.now();
    if (core_->NextStoreUs(now, stream()) > now) break;
    const uint64_t number = site_->plain.size() + 1;
    const std::string record = "plain " + std::to_string(number);
    if (core_->Store(now, stream(), record, commands) != ReceiverCore::Stored::kYes) break;
    site_->plain[number] = {request_.incarnations(0), site_->daemons.at(worker_id_)};
    site_->world.Count("plain: record taken");
  }
  Carry(std::move(commands));
  site_->world.After(address_, site_->world.random.Between(20'000, 150'000),
                     [this] { TakePlain(); });
}

void ReceiverProcess::OnMessage(const std::string&, proto::Envelope message) {
  if (message.has_executor_init()) {
    if (!ready_) readies_left_ = kReadyRepeats;
    ready_ = true;
    return;
  }
  Feed(receiver::Received{std::move(message)});
}

void ReceiverProcess::Feed(const receiver::Event& event) {
  Carry(core_->Step(site_->world.now(), event));
}

void ReceiverProcess::AskLast(const std::string& producer, Answer answer) {
  const uint64_t id = next_request_++;
  requests_[id].answer = std::move(answer);
  Feed(receiver::Ask{id, request_.streams(0), producer});
}

void ReceiverProcess::Push(const std::string& producer, int64_t first, int count, Answer answer) {
  const uint64_t id = next_request_++;
  Request& request = requests_[id];
  request.answer = std::move(answer);
  for (int i = 0; i < count; ++i) {
    request.records.Append(producer + " " + std::to_string(first + i));
  }
  receiver::StoreRequest store;
  store.id = id;
  store.stream = request_.streams(0);
  store.records = request.records.view();
  store.producer = producer;
  store.first = first;
  Feed(store);
}

void ReceiverProcess::Carry(receiver::Commands commands) {
  for (receiver::Command& command : commands) {
    uint64_t id = 0;
    std::optional<int64_t> last;
    if (auto* send = std::get_if<Send>(&command)) {
      site_->world.Send(address_, send->to, std::move(send->message));
    } else if (const auto* completed = std::get_if<receiver::Completed>(&command)) {
      id = completed->id;
      last = completed->last;
    } else if (const auto* answered = std::get_if<receiver::Answered>(&command)) {
      id = answered->id;
      last = answered->last;
    }
    const auto request = requests_.find(id);
    if (request == requests_.end()) continue;
    const Answer answer = std::move(request->second.answer);
    requests_.erase(request);
    answer(last);
  }
}

}  // namespace sluice::sim
