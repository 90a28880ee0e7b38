// The text that a scrape gets: every family with its type and help, every value where it belongs.
#include "server/metrics/metrics.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

// A page of the text format 0.0.4. Fails on lines that are none.
struct Exposition {
  std::map<std::string, double> values;      // by name{labels}, as written
  std::map<std::string, std::string> types;  // by family
  std::set<std::string> helped;

  explicit Exposition(const std::string& text) {
    EXPECT_TRUE(text.ends_with('\n'));
    std::istringstream in(text);
    std::string line;
    while (std::getline(in, line)) {
      if (line.starts_with("# HELP ")) {
        const std::string rest = line.substr(7);
        helped.insert(rest.substr(0, rest.find(' ')));
      } else if (line.starts_with("# TYPE ")) {
        const std::string rest = line.substr(7);
        const size_t space = rest.find(' ');
        EXPECT_TRUE(types.emplace(rest.substr(0, space), rest.substr(space + 1)).second) << line;
      } else {
        const size_t space = line.rfind(' ');
        EXPECT_NE(space, std::string::npos) << line;
        if (space == std::string::npos) continue;
        char* end = nullptr;
        const double value = std::strtod(line.c_str() + space + 1, &end);
        EXPECT_EQ(*end, '\0') << line;
        EXPECT_TRUE(values.emplace(line.substr(0, space), value).second) << "twice: " << line;
      }
    }
  }
  // -1 if it is not there.
  double at(const std::string& name) const {
    const auto it = values.find(name);
    return it == values.end() ? -1 : it->second;
  }
  // Of `name` with its labels, beside the one that all have.
  double Of(const std::string& name, const std::string& labels = "") const {
    return at("intactkv_" + name + "{" + labels + (labels.empty() ? "" : ",") +
              "model_name=\"m\"}");
  }
};

Histogram MakeHistogram(std::vector<double> bounds, std::vector<int64_t> counts, double sum) {
  return {.bounds = std::move(bounds), .counts = std::move(counts), .sum = sum};
}

// Every field has a value of its own.
EngineStats DistinctStats() {
  EngineStats stats;
  stats.requests_accepted = 101;
  stats.requests_rejected = 102;
  stats.requests_finished = {0, 11, 12, 13, 14};
  stats.prompt_tokens = 103;
  stats.generated_tokens = 104;
  stats.cached_tokens = 105;
  stats.pinned_tokens = 106;
  stats.computed_tokens = 107;
  stats.prefix_queries_tokens = 108;
  stats.prefix_hit_tokens = 109;
  stats.preemptions = 110;
  stats.steps = 111;
  stats.evicted_blocks = 112;
  stats.clamped_values = 113;
  stats.non_finite_requests = 114;
  stats.step_failures = 116;
  stats.running = 15;
  stats.waiting = 16;
  stats.pages[0] = {.total = 20, .free = 12, .owned = 1, .cached = 0, .pinned = 7};
  stats.pages[1] = {.total = 40, .free = 10, .owned = 20, .cached = 10, .pinned = 0};
  stats.pages[2] = {.total = 4, .free = 1, .owned = 3, .cached = 0, .pinned = 0};
  stats.unaccounted_pages = {21, 22, 23};
  stats.full_precision_weight_bytes = 115;
  stats.ttft_seconds = MakeHistogram({0.5, 1}, {2, 3, 4}, 7.25);
  stats.itl_seconds = MakeHistogram({0.25}, {5, 6}, 8.5);
  stats.queue_seconds = MakeHistogram({0.25}, {7, 8}, 9.5);
  stats.e2e_seconds = MakeHistogram({0.25}, {9, 10}, 10.5);
  stats.batch_rows = MakeHistogram({1, 64}, {11, 12, 13}, 999);
  return stats;
}

MetricsFacts Facts() {
  return {.version = "1.2.3",
          .model_name = "m",
          .weights_bytes = {{"stored", 1'000}, {"int4", 500}},
          .planned_bytes = 123'456'789'012};
}

std::string Render(const std::optional<EngineStats>& stats) {
  return Metrics([stats] { return stats; }, Facts()).Render();
}

TEST(MetricsTest, CountersAndGauges) {
  const Exposition page(Render(DistinctStats()));
  const std::map<std::string, double> wanted = {
      {"requests_accepted_total", 101},
      {"requests_rejected_total", 102},
      {"prompt_tokens_total", 103},
      {"generation_tokens_total", 104},
      {"prompt_tokens_cached_total", 105},
      {"prompt_tokens_pinned_total", 106},
      {"computed_tokens_total", 107},
      {"prefix_cache_queries_total", 108},
      {"prefix_cache_hits_total", 109},
      {"num_preemptions_total", 110},
      {"steps_total", 111},
      {"evicted_blocks_total", 112},
      {"clamped_values_total", 113},
      {"non_finite_requests_total", 114},
      {"step_failures_total", 116},
      {"num_requests_running", 15},
      {"num_requests_waiting", 16},
      {"draining", 0},
      {"ready", 1},
      {"planned_bytes", 123'456'789'012},
  };
  for (const auto& [name, value] : wanted) {
    EXPECT_EQ(page.Of(name), value) << name;
    EXPECT_EQ(page.types.at("intactkv_" + name), name.ends_with("_total") ? "counter" : "gauge");
  }
  EXPECT_EQ(page.Of("build_info", "version=\"1.2.3\""), 1);
  EXPECT_EQ(page.Of("requests_finished_total", "reason=\"stop\""), 11);
  EXPECT_EQ(page.Of("requests_finished_total", "reason=\"length\""), 12);
  EXPECT_EQ(page.Of("requests_finished_total", "reason=\"cancelled\""), 13);
  EXPECT_EQ(page.Of("requests_finished_total", "reason=\"error\""), 14);
  EXPECT_EQ(page.Of("requests_finished_total", "reason=\"none\""), -1) << "no request ends so";
}

TEST(MetricsTest, WeightsByKind) {
  const Exposition page(Render(DistinctStats()));
  EXPECT_EQ(page.Of("weights_bytes", "kind=\"full_precision\""), 115);
  EXPECT_EQ(page.Of("weights_bytes", "kind=\"stored\""), 1'000);
  EXPECT_EQ(page.Of("weights_bytes", "kind=\"int4\""), 500);
}

TEST(MetricsTest, PagesByClassAndState) {
  const Exposition page(Render(DistinctStats()));
  const auto pages = [&](const std::string& cls, const std::string& state) {
    return page.Of("kv_pages", "class=\"" + cls + "\",state=\"" + state + "\"");
  };
  EXPECT_EQ(pages("pinned", "free"), 12);
  EXPECT_EQ(pages("pinned", "owned"), 1);
  EXPECT_EQ(pages("pinned", "cached"), 0);
  EXPECT_EQ(pages("pinned", "pinned"), 7);
  EXPECT_EQ(pages("stored", "free"), 10);
  EXPECT_EQ(pages("stored", "owned"), 20);
  EXPECT_EQ(pages("stored", "cached"), 10);
  EXPECT_EQ(pages("hot", "owned"), 3);
  EXPECT_EQ(page.Of("kv_pages_unaccounted", "class=\"pinned\""), 21);
  EXPECT_EQ(page.Of("kv_pages_unaccounted", "class=\"stored\""), 22);
  EXPECT_EQ(page.Of("kv_pages_unaccounted", "class=\"hot\""), 23);
  EXPECT_EQ(page.Of("kv_pool_pages", "class=\"stored\""), 40);
  EXPECT_EQ(page.Of("kv_cache_usage_ratio", "class=\"pinned\""), 0.4);
  EXPECT_EQ(page.Of("kv_cache_usage_ratio", "class=\"stored\""), 0.5)
      << "cached pages are not in use";
  EXPECT_EQ(page.Of("kv_cache_usage_ratio", "class=\"hot\""), 0.75);
}

TEST(MetricsTest, AnEmptyPoolIsNotInUse) {
  const Exposition page(Render(EngineStats()));
  EXPECT_EQ(page.Of("kv_cache_usage_ratio", "class=\"pinned\""), 0);
}

// Buckets are cumulative and end with +Inf, which equals the count.
void ExpectHistogram(const Exposition& page, const std::string& name, const Histogram& histogram) {
  SCOPED_TRACE(name);
  EXPECT_EQ(page.types.at("intactkv_" + name), "histogram");
  double cumulative = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    cumulative += static_cast<double>(histogram.counts[i]);
    std::ostringstream bound;
    if (i < histogram.bounds.size()) {
      bound << histogram.bounds[i];
    } else {
      bound << "+Inf";
    }
    EXPECT_EQ(page.at("intactkv_" + name + "_bucket{model_name=\"m\",le=\"" + bound.str() + "\"}"),
              cumulative)
        << bound.str();
  }
  EXPECT_EQ(page.Of(name + "_count"), cumulative);
  EXPECT_EQ(page.Of(name + "_sum"), histogram.sum);
}

TEST(MetricsTest, Histograms) {
  const EngineStats stats = DistinctStats();
  const Exposition page(Render(stats));
  ExpectHistogram(page, "time_to_first_token_seconds", stats.ttft_seconds);
  ExpectHistogram(page, "inter_token_latency_seconds", stats.itl_seconds);
  ExpectHistogram(page, "request_queue_time_seconds", stats.queue_seconds);
  ExpectHistogram(page, "e2e_request_latency_seconds", stats.e2e_seconds);
  ExpectHistogram(page, "step_rows", stats.batch_rows);
}

TEST(MetricsTest, EveryFamilyIsExplained) {
  const Exposition page(Render(DistinctStats()));
  EXPECT_GE(page.types.size(), 28u);
  for (const auto& [family, type] : page.types) {
    EXPECT_TRUE(page.helped.contains(family)) << family;
    EXPECT_TRUE(family.starts_with("intactkv_")) << family;
  }
}

TEST(MetricsTest, BeforeAnEngineIsThereItSaysSo) {
  const Exposition page(Render(std::nullopt));
  EXPECT_EQ(page.Of("ready"), 0);
  EXPECT_EQ(page.Of("build_info", "version=\"1.2.3\""), 1);
  EXPECT_EQ(page.Of("requests_accepted_total"), -1) << "no number rather than a wrong one";
}

TEST(MetricsTest, NamesAreEscaped) {
  MetricsFacts facts = Facts();
  facts.model_name = "a\"b\\c\nd";
  const Metrics metrics([] { return std::optional<EngineStats>(); }, facts);
  EXPECT_NE(metrics.Render().find(R"(model_name="a\"b\\c\nd")"), std::string::npos);
}

class NullSink : public TokenSink {
 public:
  void OnTokens(std::vector<TokenEvent>) override {}
  void OnFinish(const FinishInfo&) override {}
};

TEST(MetricsTest, EachScrapeReadsTheEngineAnew) {
  FakeEngine engine;
  engine.SetAnswer("abc");
  const Metrics metrics([&]() -> std::optional<EngineStats> { return engine.Stats(); }, Facts());
  const auto run = [&] {
    GenerationRequest request;
    request.prompt = ByteTokens("hi");
    request.stop_token_ids = {kFakeEnd};
    auto handle = engine.Submit(std::move(request), std::make_unique<NullSink>());
    ASSERT_TRUE(handle.ok());
    engine.WaitForIdle();
  };
  EXPECT_EQ(Exposition(metrics.Render()).Of("requests_accepted_total"), 0);
  for (int i = 1; i <= 3; ++i) {
    run();
    const Exposition page(metrics.Render());
    EXPECT_EQ(page.Of("requests_accepted_total"), i);
    EXPECT_EQ(page.Of("requests_finished_total", "reason=\"stop\""), i);
    EXPECT_EQ(page.Of("generation_tokens_total"), 4 * i);
  }
  engine.Drain(absl::InfiniteFuture());
}

}  // namespace
}  // namespace intactkv
