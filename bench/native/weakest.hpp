// Who goes when each owner keeps its most important memories: the same for all peers in C++.

#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

// Rows sorted by owner by counting, the limit of each found by nth_element. What it allocates is
// kept for the next call.
struct Weakest {
    std::vector<std::uint32_t> start, at, row;
    std::vector<char> goes; // by row

    // Marks in `goes` all but the `kept` most important of each owner; returns how many it marks.
    std::uint32_t mark(
        std::size_t n_owners, std::uint32_t kept, const std::vector<std::uint32_t> &owner,
        const std::vector<float> &importance) {
        const auto n = static_cast<std::uint32_t>(owner.size());
        start.assign(n_owners + 1, 0);
        for (const auto each : owner)
            ++start[each + 1];
        std::partial_sum(start.begin(), start.end(), start.begin());
        at.assign(start.begin(), start.end());
        row.resize(n);
        for (std::uint32_t i = 0; i < n; ++i)
            row[at[owner[i]]++] = i;
        goes.assign(n, 0);
        std::uint32_t marked = 0;
        for (std::size_t o = 0; o < n_owners; ++o) {
            const auto first = row.begin() + start[o], last = row.begin() + start[o + 1];
            if (last - first <= kept)
                continue;
            const auto limit = last - kept;
            std::nth_element(first, limit, last, [&](std::uint32_t a, std::uint32_t b) {
                return importance[a] < importance[b];
            });
            for (auto each = first; each != limit; ++each)
                goes[*each] = 1;
            marked += limit - first;
        }
        return marked;
    }
};
