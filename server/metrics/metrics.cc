#include "server/metrics/metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/page_entry.h"

namespace intactkv {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Label = ClientMetric::Label;

constexpr std::array<const char*, kNumPageClasses> kClassNames = {"pinned", "stored", "hot"};
// By FinishReason; kNone never finishes a request.
constexpr std::array<const char*, 5> kReasonNames = {"none", "stop", "length", "cancelled",
                                                     "error"};

double AsDouble(int64_t value) { return static_cast<double>(value); }

// Collects families; all metrics carry model_name.
class Families {
 public:
  explicit Families(std::string model_name) : model_name_(std::move(model_name)) {}

  void Begin(const char* name, const char* help, MetricType type) {
    MetricFamily family;
    family.name = std::string("intactkv_") + name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
  }
  void Value(double value, std::vector<Label> labels = {}) {
    ClientMetric metric = Labelled(std::move(labels));
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  void Counter(const char* name, const char* help, int64_t value) {
    Begin(name, help, MetricType::Counter);
    Value(AsDouble(value));
  }
  void Gauge(const char* name, const char* help, int64_t value) {
    Begin(name, help, MetricType::Gauge);
    Value(AsDouble(value));
  }
  void HistogramOf(const char* name, const char* help, const Histogram& histogram) {
    Begin(name, help, MetricType::Histogram);
    ClientMetric metric = Labelled({});
    uint64_t cumulative = 0;
    for (size_t i = 0; i < histogram.counts.size(); ++i) {
      cumulative += static_cast<uint64_t>(histogram.counts[i]);
      const double bound = i < histogram.bounds.size() ? histogram.bounds[i]
                                                       : std::numeric_limits<double>::infinity();
      ClientMetric::Bucket bucket;
      bucket.cumulative_count = cumulative;
      bucket.upper_bound = bound;
      metric.histogram.bucket.push_back(bucket);
    }
    metric.histogram.sample_count = cumulative;
    metric.histogram.sample_sum = histogram.sum;
    families_.back().metric.push_back(std::move(metric));
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  ClientMetric Labelled(std::vector<Label> labels) const {
    ClientMetric metric;
    labels.push_back({"model_name", model_name_});
    metric.label = std::move(labels);
    return metric;
  }
  std::string model_name_;
  std::vector<MetricFamily> families_;
};

void AddRequests(Families& out, const EngineStats& stats) {
  out.Counter("requests_accepted_total", "Requests taken into the queue.", stats.requests_accepted);
  out.Counter("requests_rejected_total", "Requests refused: queue full, draining, or impossible.",
              stats.requests_rejected);
  out.Begin("requests_finished_total", "Requests that ended, by reason.", MetricType::Counter);
  for (size_t i = 1; i < kReasonNames.size(); ++i) {
    out.Value(AsDouble(stats.requests_finished[i]), {{"reason", kReasonNames[i]}});
  }
  out.Gauge("num_requests_running", "Sequences that are being computed.", stats.running);
  out.Gauge("num_requests_waiting", "Requests that wait for admission.", stats.waiting);
  out.Gauge("draining", "1 while the server refuses new requests and finishes the others.",
            stats.draining ? 1 : 0);
}

void AddTokens(Families& out, const EngineStats& stats) {
  out.Counter("prompt_tokens_total", "Prompt tokens of requests that ended.", stats.prompt_tokens);
  out.Counter("generation_tokens_total", "Generated tokens of requests that ended.",
              stats.generated_tokens);
  out.Counter("prompt_tokens_cached_total",
              "Prompt tokens that were not computed: pinned prefix and prefix cache.",
              stats.cached_tokens);
  out.Counter("prompt_tokens_pinned_total", "Prompt tokens read from a pinned prefix.",
              stats.pinned_tokens);
  out.Counter("computed_tokens_total",
              "Tokens that went through the model, recomputation included.", stats.computed_tokens);
  out.Counter("prefix_cache_queries_total", "Tokens looked up in the prefix cache, pins excluded.",
              stats.prefix_queries_tokens);
  out.Counter("prefix_cache_hits_total", "Tokens found in the prefix cache, pins excluded.",
              stats.prefix_hit_tokens);
}

void AddScheduler(Families& out, const EngineStats& stats) {
  out.Counter("num_preemptions_total", "Sequences that gave their pages back to be recomputed.",
              stats.preemptions);
  out.Counter("steps_total", "Engine steps.", stats.steps);
  out.Counter("step_failures_total", "Steps that failed as a whole; the log says why.",
              stats.step_failures);
  out.Counter("evicted_blocks_total", "Cached blocks that made room for others.",
              stats.evicted_blocks);
  out.Counter("clamped_values_total", "KV values clamped to the fp16 range.", stats.clamped_values);
  out.Counter("non_finite_requests_total", "Requests failed by a non-finite value.",
              stats.non_finite_requests);
  out.Begin("engine_last_step_age_seconds",
            "Since the engine last came round its loop; grows when a step hangs.",
            MetricType::Gauge);
  out.Value(absl::ToDoubleSeconds(stats.last_step_age));
  out.HistogramOf("time_to_first_token_seconds", "From arrival to the first token.",
                  stats.ttft_seconds);
  out.HistogramOf("inter_token_latency_seconds", "Between two tokens of a sequence.",
                  stats.itl_seconds);
  out.HistogramOf("request_queue_time_seconds", "From arrival to first admission.",
                  stats.queue_seconds);
  out.HistogramOf("e2e_request_latency_seconds", "From arrival to the end.", stats.e2e_seconds);
  out.HistogramOf("step_rows", "Tokens computed in one step.", stats.batch_rows);
}

void AddPages(Families& out, const EngineStats& stats) {
  out.Begin("kv_pages", "KV pages by class and state.", MetricType::Gauge);
  for (size_t i = 0; i < kClassNames.size(); ++i) {
    const PageCounts& pages = stats.pages[i];
    const std::pair<const char*, int32_t> states[] = {{"free", pages.free},
                                                      {"owned", pages.owned},
                                                      {"cached", pages.cached},
                                                      {"pinned", pages.pinned}};
    for (const auto& [state, count] : states) {
      out.Value(count, {{"class", kClassNames[i]}, {"state", state}});
    }
  }
  out.Begin("kv_pages_unaccounted",
            "KV pages that the last audit found held by nobody; anything but 0 is a bug.",
            MetricType::Gauge);
  for (size_t i = 0; i < kClassNames.size(); ++i) {
    out.Value(stats.unaccounted_pages[i], {{"class", kClassNames[i]}});
  }
  out.Begin("kv_pool_pages", "KV pages of each class: the size of its pool.", MetricType::Gauge);
  for (size_t i = 0; i < kClassNames.size(); ++i) {
    out.Value(stats.pages[i].total, {{"class", kClassNames[i]}});
  }
  out.Begin("kv_cache_usage_ratio", "Part of a pool's pages that is neither free nor evictable.",
            MetricType::Gauge);
  for (size_t i = 0; i < kClassNames.size(); ++i) {
    const PageCounts& pages = stats.pages[i];
    const double used = pages.owned + pages.pinned;
    out.Value(pages.total > 0 ? used / pages.total : 0.0, {{"class", kClassNames[i]}});
  }
}

void AddListeners(Families& out, const std::vector<ListenerStats>& listeners) {
  out.Begin("connections", "Open connections.", MetricType::Gauge);
  for (const ListenerStats& stats : listeners) {
    out.Value(AsDouble(stats.connections), {{"listener", stats.listener}});
  }
  out.Begin("accept_failures_total", "Connections that could not be accepted: no descriptors left.",
            MetricType::Counter);
  for (const ListenerStats& stats : listeners) {
    out.Value(AsDouble(stats.accept_failures), {{"listener", stats.listener}});
  }
}

}  // namespace

class Metrics::Collector : public prometheus::Collectable {
 public:
  Collector(StatsSource stats, MetricsFacts facts, ListenerSource listeners)
      : stats_(std::move(stats)), facts_(std::move(facts)), listeners_(std::move(listeners)) {}

  std::vector<MetricFamily> Collect() const override {
    Families out(facts_.model_name);
    out.Begin("build_info", "1; the version is the label.", MetricType::Gauge);
    out.Value(1, {{"version", facts_.version}});
    const std::optional<EngineStats> stats = stats_();
    out.Gauge("ready", "1 once an engine serves.", stats.has_value() ? 1 : 0);
    out.Gauge("planned_bytes", "The memory plan printed at start.", facts_.planned_bytes);
    if (listeners_) AddListeners(out, listeners_());
    if (!stats.has_value()) return out.Take();
    out.Begin("weights_bytes",
              "Resident bytes of weights by kind; full_precision is 0 while serving.",
              MetricType::Gauge);
    out.Value(AsDouble(stats->full_precision_weight_bytes), {{"kind", "full_precision"}});
    for (const auto& [kind, bytes] : facts_.weights_bytes) {
      out.Value(AsDouble(bytes), {{"kind", kind}});
    }
    AddRequests(out, *stats);
    AddTokens(out, *stats);
    AddScheduler(out, *stats);
    AddPages(out, *stats);
    return out.Take();
  }

 private:
  StatsSource stats_;
  MetricsFacts facts_;
  ListenerSource listeners_;
};

Metrics::Metrics(StatsSource stats, MetricsFacts facts, ListenerSource listeners)
    : collector_(
          std::make_unique<Collector>(std::move(stats), std::move(facts), std::move(listeners))) {}
Metrics::~Metrics() = default;

std::string Metrics::Render() const {
  return prometheus::TextSerializer().Serialize(collector_->Collect());
}

}  // namespace intactkv
