// The Yahoo streaming benchmark (B5) as a whole job in one process: views, joined with their
// campaigns, counted per campaign and 10 s of event time, and given out when a window closes.
//
// Event time is the program's own affair here: batches are cut by arrival, and within one the
// receiver's blocks are spread over tasks. So each batch is counted by (campaign, window), and a
// state per campaign adds batches up and closes a window in the batch that has the next one.
//
//   ysb_bench [--records=N] [--runs=5] [--only=binary100|binary10000|json100|json10000]
#include <algorithm>

#include "bench/bench_main.h"
#include "bench/whole_job.h"
#include "bench/ysb.h"
#include "bench/ysb_floors.h"
#include "bench/ysb_json.h"

namespace sluice::bench {
namespace {

using CampaignWindow = std::pair<int64_t, int64_t>;
using WindowViews = std::pair<int64_t, int64_t>;

// The windows of one campaign: the newest, and those that the batch at hand has closed.
struct Windows {
  WindowViews open{-1, 0};
  std::vector<WindowViews> closed;
};

// A batch's counts come in any order of their windows.
std::optional<Windows> AddViews(std::span<const WindowViews> counts,
                                std::optional<Windows> before) {
  std::vector<WindowViews> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end());
  Windows windows;
  if (before.has_value()) windows.open = before->open;
  for (const auto& [window, views] : sorted) {
    if (window == windows.open.first) {
      windows.open.second += views;
      continue;
    }
    if (windows.open.second != 0) windows.closed.push_back(windows.open);
    windows.open = {window, views};
  }
  return windows;
}

// Of the rows (ad, (window, campaign)).
template <class Joined>
auto ClosedWindows(const Joined& joined) {
  return joined
      .Map([](const auto& row) {
        return std::pair{CampaignWindow{row.second.second, row.second.first}, int64_t{1}};
      })
      .ReduceByKey(std::plus<>())
      .Map([](const std::pair<CampaignWindow, int64_t>& row) {
        return std::pair{row.first.first, WindowViews{row.first.second, row.second}};
      })
      .UpdateStateByKey("windows", AddViews, {.idle_keys = IdleKeys::kSkip})
      .FlatMap([](const std::pair<int64_t, Windows>& row) {
        std::vector<YsbRow> rows;
        for (const auto& [window, views] : row.second.closed) {
          rows.push_back({row.first, window, views});
        }
        return rows;
      });
}

template <class Key>
auto AdsOf(StreamingContext& ssc, const std::vector<std::pair<Key, int64_t>>& ads) {
  return ssc.StaticDataset<Key, int64_t>(
      "ads", [](int64_t) { return std::string("1"); }, [&ads](const std::string&) { return ads; });
}

// The rows of windows that all campaigns have closed, in order: one without views in the newest
// window has closed the one before only for the floors, which know the time from all campaigns.
std::vector<YsbRow> Settled(const std::vector<YsbRow>& closed, int64_t newest) {
  std::vector<YsbRow> rows;
  for (const YsbRow& row : closed) {
    if (row.window + 1 < newest) rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

// Runs a job whose closed windows `declare` gives, and compares all that it has closed.
template <class Job, class Declare, class FloorPass>
void Measure(Job& job, const YsbAds& ads, bool texts, int runs, const Declare& declare,
             std::function<void()> prepare, const FloorPass& pass) {
  std::vector<YsbRow> closed;
  declare(job).ForeachBatch([&](const Batch<YsbRow>& batch) {
    batch.ForEach([&](const YsbRow& row) { closed.push_back(row); });
  });
  YsbFloor o2(ads, texts), native(ads, texts);
  job.RunAndShow({.runs = runs,
                  .prepare = std::move(prepare),
                  .floor_o2 = [&] { pass(o2, false); },
                  .floor_native = [&] { pass(native, true); },
                  .equal =
                      [&] {
                        const auto rows = Settled(closed, native.window);
                        return rows == Settled(o2.closed, native.window) &&
                               rows == Settled(native.closed, native.window);
                      }},
                 "M events/CPU-s");
}

void Binary(int64_t campaigns, uint64_t count, int runs) {
  const YsbAds ads = MakeYsbAds(campaigns);
  std::vector<YsbEvent> events = MakeYsbEvents(ads, count);
  const std::span<const YsbEvent> view(events);
  WholeJob<YsbEvent, YsbEvent> job("B5 YSB binary, " + std::to_string(campaigns) + " campaigns",
                                   view, sizeof(YsbEvent));
  bool first = true;
  Measure(
      job, ads, /*texts=*/false, runs,
      [&](auto& whole) {
        return ClosedWindows(
            whole.stream()
                .Filter([](const YsbEvent& event) { return event.event_type == kYsbView; })
                .Map([](const YsbEvent& event) {
                  return std::pair{event.ad, event.time_ms / kYsbWindowMs};
                })
                .Join(AdsOf(whole.ssc(), ads.numbers)));
      },
      [&] {
        if (!std::exchange(first, false)) AdvanceYsb(events, YsbSpanMs(count));
      },
      [&](YsbFloor& floor, bool native) {
        native ? floors_native::CountYsb(view, floor) : floors_o2::CountYsb(view, floor);
      });
}

void Json(int64_t campaigns, uint64_t count, int runs) {
  const YsbAds ads = MakeYsbAds(campaigns);
  YsbTexts texts = MakeYsbTexts(ads, count);
  const std::span<const std::string_view> view(texts.events);
  WholeJob<std::string, std::string_view> job(
      "B5 YSB JSON, " + std::to_string(campaigns) + " campaigns", view,
      texts.bytes.size() / count);
  bool first = true;
  Measure(
      job, ads, /*texts=*/true, runs,
      [&](auto& whole) {
        return ClosedWindows(
            whole.stream()
                .Map([](std::string_view event) { return ReadYsb(event); })
                .Filter([](const YsbFields& fields) { return std::get<1>(fields) == "view"; })
                .Map([](const YsbFields& fields) {
                  return std::pair{std::get<0>(fields), std::get<2>(fields) / kYsbWindowMs};
                })
                .Join(AdsOf(whole.ssc(), ads.uuids)));
      },
      [&] {
        if (!std::exchange(first, false)) AdvanceYsb(texts, YsbSpanMs(count));
      },
      [&](YsbFloor& floor, bool native) {
        native ? floors_native::CountYsb(view, floor) : floors_o2::CountYsb(view, floor);
      });
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  for (const int64_t campaigns : {100, 10'000}) {
    const std::string size = std::to_string(campaigns);
    if (args.Wants("binary" + size)) Binary(campaigns, args.RecordsOr(4'500'000), args.runs);
    if (args.Wants("json" + size)) Json(campaigns, args.RecordsOr(1'100'000), args.runs);
  }
}
